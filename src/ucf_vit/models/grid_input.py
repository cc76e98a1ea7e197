"""Input of a network on the patches of a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.models.network_input import Cut, NetworkInput
from ucf_vit.nn.embedding.conv_stem import ConvStem
from ucf_vit.nn.embedding.embed import Positions
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.patching.uniform import PatchGrid


class GridInput(NetworkInput):
    """Images cut into equal patches."""

    def __init__(self, options: InputOptions) -> None:
        super().__init__(options)
        self.grid = grid_of(options)
        self.stem = options.stem

    @property
    def channels(self) -> int:
        """C, channels of one token."""
        return self.in_channels

    @property
    def num_tokens(self) -> int:
        """L, the number of patches of one image."""
        return self.grid.num_tokens

    @property
    def patch_dim(self) -> int:
        """Values of one patch, `C * prod(P)`."""
        return self.grid.patch_dim

    def embed(self, encoder: EncoderOptions) -> nn.Module:
        """Returns the embedding of patches: each by itself, or by convolutions over all."""
        return ConvStem(self.grid, encoder.embed_dim) if self.stem == "conv" else super().embed(encoder)

    def positions(self, dim: int, kind: str) -> Positions:
        """Returns a position table over the grid."""
        return Positions(self.grid.shape, dim, kind)

    def count(self, channels: int) -> int:
        """Returns the number of tokens of an image, the same for any number of channels."""
        return self.num_tokens

    def shape(self, channels: int) -> tuple[int, ...]:
        """Returns `(C, *S)`, the shape of an image with `channels`."""
        return (channels, *self.tile_size)

    def split(self, image: Tensor | Patches, numbers: Sequence[int] | None = None) -> Cut:
        """Cuts images `[B, C, *S]`, whose channels are the variables `numbers`.

        Raises UserError if they do not have the shape that the network was built for.
        """
        if isinstance(image, Patches):
            raise UserError("the model was built without adaptive_patching; give it images, not Patches")
        return Cut(grid_for(self.grid, image, numbers).split(image))

    def join(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Pastes tokens `[B, L, K * prod(P)]` together, `[B, K, *S]`."""
        return self.grid.join(tokens)


def grid_of(options: InputOptions) -> PatchGrid:
    """Returns the regular grid of patches over a tile."""
    return PatchGrid(options.in_channels, options.tile, options.patch)


def grid_for(grid: PatchGrid, image: Tensor, numbers: Sequence[int] | None) -> PatchGrid:
    """Returns the grid of images of the variables `numbers`.

    Raises UserError if `image` `[B, C, *S]` has not one channel for each of them.
    """
    if numbers is None:
        return grid
    if image.ndim < 2 or image.shape[1] != len(numbers):
        raise UserError(
            f"{len(numbers)} variables are named for a batch of shape {list(image.shape)}; expected "
            f"[batch, {len(numbers)} channels, *{list(grid.tile_size)}], one channel for each variable"
        )
    return replace(grid, in_channels=len(numbers))
