"""Equal patches on a regular grid: image to tokens and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact, per_axis, product_of

_IMAGE = {2: "b c (h p) (w q)", 3: "b c (h p) (w q) (d r)"}
_TOKENS = {2: "b (h w) (c p q)", 3: "b (h w d) (c p q r)"}


def patchify(image: Tensor, patch_size: int | Sequence[int]) -> Tensor:
    """Returns the patches `[B, L, C * prod(P)]` of `[B, C, *S]`, in row-major order.

    `patch_size` is one number for all axes, or the side P along each. The values of a patch are ordered
    (channel, *pixel).

    Raises UserError if the patch does not divide every side of the image.
    """
    space = image.shape[2:]
    patch = per_axis(patch_size, len(space), "patch_size")
    _grid(space, patch)
    sides = dict(zip("pqr", patch, strict=False))
    return rearrange(image, f"{_IMAGE[len(space)]} -> {_TOKENS[len(space)]}", **sides)


def unpatchify(tokens: Tensor, patch_size: int | Sequence[int], space: Sequence[int]) -> Tensor:
    """Returns the image `[B, C, *space]` of patches `[B, L, C * prod(P)]`: the inverse of `patchify`."""
    patch = per_axis(patch_size, len(space), "patch_size")
    grid = _grid(space, patch)
    sides = dict(zip("pqr", patch, strict=False))
    counts = dict(zip("hwd", grid, strict=False))
    return rearrange(tokens, f"{_TOKENS[len(grid)]} -> {_IMAGE[len(grid)]}", **sides, **counts)


def _grid(space: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    pairs = list(zip(space, patch, strict=True))
    if any(side < 1 or p < 1 or side % p for side, p in pairs):
        raise UserError(
            f"patch size {compact(patch)} does not divide an image of {product_of(space)}; "
            f"choose sides that are multiples of the patch size"
        )
    return tuple(side // p for side, p in pairs)


@dataclass(frozen=True)
class PatchGrid:
    """Grid of uniform patches of sides `patch_size`, for images of `in_channels` and `tile_size`.

    `tile_size` has two entries for images `[B, C, H, W]`, three for volumes `[B, C, H, W, D]`, and so has
    `patch_size`. Raises UserError if there is another number, or if the patch does not divide the tile.
    """

    in_channels: int
    tile_size: tuple[int, ...]
    patch_size: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.tile_size) not in (2, 3):
            raise UserError(f"tile_size {list(self.tile_size)} must have 2 entries (images) or 3 (volumes)")
        _grid(self.tile_size, self.patch_size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of patches along each axis."""
        return _grid(self.tile_size, self.patch_size)

    @property
    def num_tokens(self) -> int:
        """L, the number of patches of one image."""
        return math.prod(self.shape)

    @property
    def patch_dim(self) -> int:
        """Values of one patch, `C * prod(P)`."""
        return self.in_channels * math.prod(self.patch_size)

    def check(self, image: Tensor) -> None:
        """Raises UserError if the image does not have this grid's shape, `[B, C, *S]`."""
        expected = (self.in_channels, *self.tile_size)
        if tuple(image.shape[1:]) != expected:
            raise UserError(
                f"the model was built for images of {self.in_channels} channels x "
                f"{product_of(self.tile_size)} and got a batch of shape {list(image.shape)}; expected "
                f"[batch, *{list(expected)}]. "
                "Check in_channels (variables, single_channel) and tile_size"
            )

    def split(self, image: Tensor) -> Tensor:
        """Returns the patches `[B, L, C * prod(P)]` of `[B, C, *S]`. Raises UserError as `check` does."""
        self.check(image)
        return patchify(image, self.patch_size)

    def join(self, tokens: Tensor) -> Tensor:
        """Returns `[B, K, *S]` for patches `[B, L, K * prod(P)]` with any number of channels K."""
        return unpatchify(tokens, self.patch_size, self.tile_size)
