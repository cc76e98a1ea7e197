"""Fractions of whole numbers, rounded down."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from torch import Tensor


@overload
def part_of(number: int, fraction: float) -> int: ...
@overload
def part_of(number: Tensor, fraction: float) -> Tensor: ...
def part_of(number: int | Tensor, fraction: float) -> int | Tensor:
    """Returns `number * fraction` rounded down, elementwise for a tensor of whole numbers.

    Floating-point errors are corrected: 100 * 0.29 is 28.999999999999996, and the result is 29.
    """
    if isinstance(number, int):
        return int(number * fraction + _ROUNDING)
    return (number.double() * fraction + _ROUNDING).long()


_ROUNDING = 1e-6
