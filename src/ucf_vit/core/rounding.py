"""Whole numbers of parts of whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from torch import Tensor


@overload
def part_of(number: int, fraction: float) -> int: ...
@overload
def part_of(number: Tensor, fraction: float) -> Tensor: ...
def part_of(number: int | Tensor, fraction: float) -> int | Tensor:
    """`number * fraction` rounded down, of a tensor of whole numbers for each of them.

    A product that is whole but for floating point is that whole number: 100 * 0.29 is 28.999999999999996.
    """
    if isinstance(number, int):
        return int(number * fraction + _ROUNDING)
    return (number.double() * fraction + _ROUNDING).long()


_ROUNDING = 1e-6
