"""Parts of whole numbers: rounded down, but not below a whole number for want of precision."""

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.rounding import part_of


@given(st.integers(0, 100_000), st.integers(0, 1000))
def test_a_decimal_fraction_is_taken_at_its_word(number: int, thousandths: int) -> None:
    exact = number * Fraction(thousandths, 1000)
    assert part_of(number, thousandths / 1000) == int(exact)
    assert part_of(torch.tensor([number]), thousandths / 1000).tolist() == [int(exact)]


@given(st.integers(1, 10_000), st.integers(1, 50), st.integers(1, 50))
def test_so_is_a_quotient(number: int, a: int, b: int) -> None:
    assert part_of(number * b, a / b) == number * a


def test_fractions_are_rounded_down() -> None:
    assert [part_of(10, fraction) for fraction in (0.0, 0.199, 0.2, 0.999, 1.0)] == [0, 1, 2, 9, 10]
