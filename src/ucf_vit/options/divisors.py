"""Numbers of heads that divide a width, and other divisors."""

from __future__ import annotations


def divisors(number: int) -> list[int]:
    """Returns the divisors of `number` up to 4096."""
    return [d for d in range(1, min(number, 4096) + 1) if number % d == 0]


def nearest_divisors(numbers: list[int], wanted: int) -> int:
    """Returns the number in `numbers` that is nearest to `wanted`."""
    return min(numbers, key=lambda number: abs(number - wanted))


def undivided(
    heads: int, width: int, heads_name: str = "num_heads", width_name: str = "embed_dim"
) -> str | None:
    """Returns what is wrong with a number of heads for a width, and what would do; None if it divides it."""
    if width % heads == 0:
        return None
    near = nearest_divisors(divisors(width), heads)
    better = f"{heads_name} {near} or {width_name} {(width // heads + 1) * heads}"
    return f"{heads_name} {heads} does not divide {width_name} {width}; take {better}"
