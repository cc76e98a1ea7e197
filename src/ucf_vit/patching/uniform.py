"""Equal patches on a regular grid: image to tokens and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

from ucf_vit.core.errors import UserError

_IMAGE = {2: "b c (h p) (w q)", 3: "b c (h p) (w q) (d r)"}
_TOKENS = {2: "b (h w) (c p q)", 3: "b (h w d) (c p q r)"}


def patchify(image: Tensor, patch_size: int) -> Tensor:
    """Returns the patches `[B, L, C * p**d]` of `[B, C, *S]`, in row-major order.

    The values of a patch are ordered (channel, *pixel).

    Raises UserError if the patch size does not divide every side of the image.
    """
    space = image.shape[2:]
    _grid(space, patch_size)
    sides = dict(zip("pqr", [patch_size] * len(space), strict=False))
    return rearrange(image, f"{_IMAGE[len(space)]} -> {_TOKENS[len(space)]}", **sides)


def unpatchify(tokens: Tensor, patch_size: int, space: Sequence[int]) -> Tensor:
    """Returns the image `[B, C, *space]` of patches `[B, L, C * p**d]`: the inverse of `patchify`."""
    grid = _grid(space, patch_size)
    sides = dict(zip("pqr", [patch_size] * len(grid), strict=False))
    counts = dict(zip("hwd", grid, strict=False))
    return rearrange(tokens, f"{_TOKENS[len(grid)]} -> {_IMAGE[len(grid)]}", **sides, **counts)


def _grid(space: Sequence[int], patch_size: int) -> tuple[int, ...]:
    if patch_size < 1 or any(side < 1 or side % patch_size for side in space):
        raise UserError(
            f"patch size {patch_size} does not divide an image of {_text(space)}; "
            f"choose sides that are multiples of the patch size"
        )
    return tuple(side // patch_size for side in space)


def _text(space: Sequence[int]) -> str:
    return " x ".join(str(side) for side in space)


@dataclass(frozen=True)
class PatchGrid:
    """Grid of uniform patches of `patch_size` pixels a side, for images of `in_channels` and `tile_size`.

    `tile_size` has two entries for images `[B, C, H, W]`, three for volumes `[B, C, H, W, D]`.
    Raises UserError if it has another number, or if the patch does not divide it.
    """

    in_channels: int
    tile_size: tuple[int, ...]
    patch_size: int

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
        """Values of one patch, `C * p**d`."""
        return self.in_channels * self.patch_size ** len(self.tile_size)

    def check(self, image: Tensor) -> None:
        """Raises UserError if the image does not have this grid's shape, `[B, C, *S]`."""
        expected = (self.in_channels, *self.tile_size)
        if tuple(image.shape[1:]) != expected:
            raise UserError(
                f"the model was built for images of {self.in_channels} channels x {_text(self.tile_size)} "
                f"and got a batch of shape {list(image.shape)}; expected [batch, *{list(expected)}]. "
                "Check in_channels (variables, single_channel) and tile_size"
            )

    def split(self, image: Tensor) -> Tensor:
        """Returns the patches `[B, L, C * p**d]` of `[B, C, *S]`. Raises UserError as `check` does."""
        self.check(image)
        return patchify(image, self.patch_size)

    def join(self, tokens: Tensor) -> Tensor:
        """Returns `[B, K, *S]` for patches `[B, L, K * p**d]` with any number of channels K."""
        return unpatchify(tokens, self.patch_size, self.tile_size)
