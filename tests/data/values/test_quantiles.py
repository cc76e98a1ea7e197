"""Percentiles of all values: those of NumPy, whatever the type and however the values lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.data.values import running_moments
from ucf_vit.data.values.quantiles import percentiles

TYPES = ["?", "u1", "i1", "u2", "i2", ">i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4", "f8"]


def values_of(dtype: str, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "f":
        drawn = rng.choice([0.0, -0.0, 1e-7, -3.5], size) if seed % 2 else rng.normal(0, 300, size)
        return drawn.astype(dtype)
    info = np.iinfo(dtype) if kind in "iu" else None
    low, high = (0, 2) if info is None else (max(info.min, -(2**40)), min(info.max, 2**40))
    return rng.integers(low, high, size).astype(dtype)


@settings(max_examples=150)
@given(
    st.sampled_from(TYPES),
    st.integers(1, 400),
    st.integers(0, 99),
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_numpy_gives_the_same(dtype, size, seed, percents):
    values = values_of(dtype, size, seed)
    expected = np.percentile(values.astype(np.float64), percents)
    np.testing.assert_allclose(percentiles(values, percents), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_neither_axes_nor_flips_nor_slabs_change_them(monkeypatch, dtype):
    values = values_of(dtype, 6 * 7 * 8, 2).reshape(6, 7, 8)
    expected = percentiles(values, (0.5, 99.5))
    monkeypatch.setattr(running_moments, "SLAB", 50)
    for other in (values[::-1, :, ::-1], values.T, np.asfortranarray(values), values[None], values.ravel()):
        assert percentiles(other, (0.5, 99.5)) == expected


def test_every_voxel_counts():
    """A bright plane at any place, in any memory order, moves the percentile: no column is passed over."""
    for axis in range(3):
        for order in "CF":
            for place in (0, 1, 37):
                values = np.zeros((64, 64, 64), np.float32, order)
                values[(*(slice(None),) * axis, place)] = 1
                assert percentiles(values, (50, 100 - 100 / 64 / 2)) == [0, 1]


def test_extremes_of_a_type():
    ends = np.array([np.iinfo(np.uint64).max, 0], np.uint64)
    assert percentiles(ends, (0, 100)) == [0, float(2**64)]
    assert percentiles(np.array([np.finfo(np.float32).min, np.finfo(np.float32).max]), (0, 100)) == [
        float(np.finfo(np.float32).min),
        float(np.finfo(np.float32).max),
    ]
