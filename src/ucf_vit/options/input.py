"""Options of what a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.options.rules import check_values, choice, whole
from ucf_vit.options.variables import VariableOptions

PositionKind = Literal["auto", "learned", "sincos"]
Stem = Literal["patch", "conv"]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Channels, tile and patches that a network is built for.

    Attributes:
        in_channels: channels C of an image.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side of a patch in pixels along each axis; one number stands for all axes and becomes a
            tuple. Divides the tile, unless patches are adaptive.
        stem: "patch" projects each patch by itself; "conv": tokens come from convolutions over the image, in
            networks that see all patches. Needs sides of patches that are powers of two, no variables and no
            adaptive patches.
        pos_embed: position embeddings, "learned" or fixed "sincos"; "auto": as published, sincos in MAE and
            DiffusionVIT and learned in all others.
        adaptive_patching: the network takes `Patches` cut along trees instead of images.
        fixed_length: adaptive patching: tokens per tree.
        separate_channels: adaptive patching: one tree per channel instead of one for all channels.
        use_adaptive_pos_emb: adaptive patching: positions follow centre and size of a patch, not its place in
            the sequence.
        variables: channels that have names; None: all channels are always there, in the same order.

    Raises UserError for values out of range, if the sides of a patch are not one per axis, if `variables` has
    not one name for each channel, or if a convolutional stem can't serve.
    """

    in_channels: int = whole(ge=1)
    tile_size: Sequence[int]
    patch_size: int | Sequence[int] = 16
    stem: Stem = choice("patch", Stem)
    pos_embed: PositionKind = choice("auto", PositionKind)
    adaptive_patching: bool = False
    fixed_length: int | None = whole(None, ge=1)
    separate_channels: bool = False
    use_adaptive_pos_emb: bool = True
    variables: VariableOptions | None = None

    def __post_init__(self) -> None:
        check_values(self)
        tile = _sides("tile_size", self.tile_size)
        if len(tile) not in (2, 3):
            raise UserError(f"tile_size {list(tile)}: expected 2 sides for images, 3 for volumes")
        _sides("patch_size", self.patch_size if isinstance(self.patch_size, Sequence) else [self.patch_size])
        object.__setattr__(self, "tile_size", tile)
        object.__setattr__(self, "patch_size", per_axis(self.patch_size, len(tile), "patch_size"))
        if self.variables is not None and len(self.variables) != self.in_channels:
            raise UserError(
                f"use_varemb: the model has {self.in_channels} channels and default_vars "
                f"{len(self.variables)} names; expected a name for each"
            )

        if self.stem == "conv" and (self.variables is not None or self.adaptive_patching):
            raise UserError(
                "stem conv takes images of fixed channels on a grid; leave out use_varemb and "
                "adaptive_patching, or take stem patch"
            )

    @property
    def tile(self) -> tuple[int, ...]:
        """`tile_size` as a tuple."""
        return tuple(self.tile_size)

    @property
    def patch(self) -> tuple[int, ...]:
        """P, `patch_size` as a tuple with a side for each axis."""
        return per_axis(self.patch_size, len(self.tile_size), "patch_size")

    def positions(self, published: Literal["learned", "sincos"]) -> str:
        """Returns the kind of position embeddings: `published` if `pos_embed` is "auto"."""
        return published if self.pos_embed == "auto" else self.pos_embed


def _sides(name: str, sides: object) -> tuple[int, ...]:
    """Returns the sides. Raises UserError for anything but whole numbers >= 1."""
    if isinstance(sides, Sequence) and all(isinstance(one, Integral) and int(one) >= 1 for one in sides):
        return tuple(sides)
    raise UserError(f"{name} {sides!r}: expected sides in pixels, whole numbers >= 1, such as (64, 64)")
