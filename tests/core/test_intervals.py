"""Intervals of numbers as people write them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.intervals import Interval


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">0", [0.001, 1, np.inf], [0, -1, np.nan]),
        (">= 0", [0, 5], [-0.1]),
        ("<3", [-np.inf, 2.9], [3]),
        ("<=-1.5", [-1.5, -2], [-1]),
        ("1..255", [1, 1.5, 255], [0.9, 256]),
        ("-2 .. -1", [-2, -1], [0]),
        ("0.5..1e2", [0.5, 100], [0.4]),
    ],
)
def test_numbers_in_an_interval(text, inside, outside):
    interval = Interval.parse(text)
    assert interval.has(np.array(inside, float)).all() and not interval.has(np.array(outside, float)).any()


@pytest.mark.parametrize("text", ["", "1", "a", "1...2", "3..1", ">", "> =1", "1..", "..2", "nan", ">nan"])
def test_invalid_intervals(text):
    with pytest.raises(ValueError, match=r"not a range of numbers such as '>0'"):
        Interval.parse(text)


numbers = st.integers(-4, 4)
texts = st.builds("{}{}".format, st.sampled_from([">", ">=", "<", "<="]), numbers) | st.builds(
    lambda a, b: f"{min(a, b)}..{max(a, b)}", numbers, numbers
)


@given(texts, texts)
def test_two_that_meet(one, other):
    first, second = Interval.parse(one), Interval.parse(other)
    fine = np.arange(-6, 6.01, 0.25)
    both = (first.has(fine) & second.has(fine)).any()
    assert first.meets(second) == second.meets(first) == both
