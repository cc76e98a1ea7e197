"""Sides of tiles and patches: one number for all axes, or a number for each axis."""

from __future__ import annotations

from collections.abc import Sequence

from ucf_vit.core.errors import UserError


def per_axis(sides: int | Sequence[int], dims: int, name: str) -> tuple[int, ...]:
    """Returns the side along each of `dims` axes; one number stands for all of them.

    Raises UserError, which calls the sides `name`, if a sequence has not one number for each axis.
    """
    values = (sides,) * dims if isinstance(sides, int) else tuple(sides)
    if len(values) != dims:
        raise UserError(
            f"{name} {list(values)} has {len(values)} entries for a tile of {dims} axes; expected one "
            "number, or one for each axis"
        )
    return values


def compact(sides: Sequence[int]) -> int | list[int]:
    """Returns sides as a config has them: one number if they are all equal, otherwise a list."""
    return sides[0] if len(set(sides)) == 1 else list(sides)


def product_of(sides: Sequence[int]) -> str:
    """Returns sides as a person writes them, `16 x 16 x 8`."""
    return " x ".join(map(str, sides))
