"""Intensity normalisation against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.data.values.running_moments import moments


def normalized(image: np.ndarray, kind: str, **options) -> np.ndarray:
    normalization = Normalization(kind, **options)
    channels = range(len(image))
    out = np.full(image.shape, np.nan, np.float32)
    if not normalization.needs_whole_item:
        normalization.check(image, channels)
    normalization.apply(image, normalization.fit(image, channels), out)
    return out


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.gamma(2, size=(2, 20, 21, 22)).astype(np.float32) * np.float32([[[[100]]], [[[3]]]])


def test_minmax_reaches_exactly_0_and_1_in_each_channel(image):
    out = normalized(image, "minmax")
    assert out.min(axis=(1, 2, 3)).tolist() == [0, 0]
    assert out.max(axis=(1, 2, 3)).tolist() == [1, 1]
    assert np.allclose(out[1], (image[1] - image[1].min()) / np.ptp(image[1]), atol=1e-6)


def test_zscore(image):
    out = normalized(image + 1000, "zscore").astype(float)
    assert np.allclose(out.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    assert np.allclose(out.std(axis=(1, 2, 3)), 1, atol=1e-4)


def test_window_clips(image):
    out = normalized(image, "window", low=50, high=250)
    assert np.allclose(out, np.clip((image - 50) / 200, 0, 1), atol=1e-6)


def test_percentiles(image):
    low, high = np.percentile(image[0], (1, 90))
    assert np.allclose(
        normalized(image, "percentiles", low=1, high=90)[0],
        np.clip((image[0] - low) / (high - low), 0, 1),
        atol=1e-5,
    )


def test_mean_std_of_one_and_of_each_channel(image):
    both = normalized(image, "mean_std", mean=(100.0, 2.0), std=(10.0, 0.5))
    assert np.allclose(both[1], (image[1] - 2) / 0.5, atol=1e-5)
    assert np.allclose(normalized(image, "mean_std", mean=(1.0,), std=(2.0,)), (image - 1) / 2, atol=1e-5)


def test_mean_std_follows_the_channel_that_is_read(image):
    normalization = Normalization("mean_std", mean=(100.0, 2.0), std=(10.0, 0.5))
    assert normalization.fit(image[1:], [1]).shift.tolist() == [2.0]


def test_none_leaves_the_values(image):
    assert np.array_equal(normalized(image, "none"), image)


@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles"])
@pytest.mark.parametrize("value", [0, -7, 0.1, 3e8])
def test_a_constant_volume_becomes_zeros_not_nan(kind, value):
    assert np.array_equal(normalized(np.full((1, 5, 6, 7), value, np.float32), kind), np.zeros((1, 5, 6, 7)))


@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles", "none", "window", "mean_std"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_every_kind(image, kind, value):
    image[1, 3, 4, 5] = value
    options = {"mean": (0.0,), "std": (1.0,)} if kind == "mean_std" else {}
    with pytest.raises(DataError, match="channel 1 holds NaN"):
        normalized(image, kind, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64, ">i2"])
def test_any_stored_type_and_memory_order(dtype):
    stored = np.random.default_rng(0).integers(0, 200, (1, 9, 10, 11)).astype(dtype)
    expected = (stored.astype(np.float32) - stored.min()) / np.ptp(stored)
    assert np.allclose(normalized(np.asfortranarray(stored), "minmax"), expected, atol=1e-6)


@settings(max_examples=30)
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 80)),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e3),
)
def test_moments_in_slabs_are_those_of_the_whole(shape, mean, scale):
    values = np.random.default_rng(0).normal(mean, scale, shape)
    found = moments(values)
    assert found.number == values.size
    assert np.allclose((found.mean, found.std), (values.mean(), values.std()), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "window", "low": 3, "high": 3},
        {"kind": "percentiles", "low": -1, "high": 50},
        {"kind": "mean_std"},
        {"kind": "mean_std", "mean": (1.0, 2.0), "std": (1.0,)},
        {"kind": "mean_std", "mean": (1.0,), "std": (0.0,)},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(DataError, match="normalization"):
        Normalization(**options)


def test_a_small_contrast_on_a_large_offset_is_kept():
    stored = 1e9 + np.linspace(0, 1, 27).reshape(1, 3, 3, 3)
    assert np.allclose(normalized(stored, "minmax"), stored - 1e9, atol=1e-6)
    counts = (2**30 + np.arange(27, dtype=np.int32)).reshape(1, 3, 3, 3)
    assert np.allclose(normalized(counts, "minmax"), (counts - 2**30) / 26, atol=1e-6)


def sparse(share_of_voxels: int) -> np.ndarray:
    image = np.zeros((1, 40, 40, 40), np.float32)
    image[0, :share_of_voxels, 20, 20] = np.linspace(1, 2, share_of_voxels)
    return image


def test_a_small_object_is_not_erased_by_percentiles():
    """Less than half a percent of the voxels: both percentiles are that of the background."""
    image = sparse(30)
    assert np.allclose(normalized(image, "percentiles"), image / 2, atol=1e-6)
    assert np.array_equal(normalized(image, "percentiles"), normalized(image, "minmax"))
    assert np.allclose(normalized(image, "percentiles", low=1, high=100), image / 2, atol=1e-6)
    holes = 7 - image
    assert np.allclose(normalized(holes, "percentiles"), 1 - image / 2, atol=1e-6)


def test_where_the_percentiles_differ_they_count():
    image = np.linspace(0, 1, 1000, dtype=np.float32).reshape(1, 10, 10, 10)
    image[0, -1, -1, -1] = 1000
    out = normalized(image, "percentiles")
    assert out[0, 5].mean() > 0.4 and out.max() == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint64, np.int64, ">f4", ">u2"])
@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles", "none"])
def test_types_at_their_ends(kind, dtype):
    """Sums and differences do not overflow in the type that is stored."""
    top = {"f": 60000, "u": 60000, "i": 60000}[np.dtype(dtype).kind]
    stored = np.linspace(0, top, 6**3).reshape(1, 6, 6, 6).astype(dtype)
    exact = stored.astype(np.float64)
    out = normalized(stored, kind)
    expected = {
        "minmax": exact / top,
        "zscore": (exact - exact.mean()) / exact.std(),
        "percentiles": np.clip(
            (exact - np.percentile(exact, 0.5)) / np.subtract(*np.percentile(exact, (99.5, 0.5))), 0, 1
        ),
        "none": exact,
    }[kind]
    assert np.allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles", "none", "mean_std", "window"])
@pytest.mark.parametrize("ends", [(0, 1e300), (-3e38, 3e38), (-1e39, 0)])
def test_values_too_large_for_float32_are_refused(kind, ends):
    stored = np.linspace(*ends, 27).reshape(1, 3, 3, 3)
    options = {"mean": (0.0,), "std": (1.0,)} if kind == "mean_std" else {}
    with pytest.raises(DataError, match=r"channel 0 holds values from .* too large for float32"):
        normalized(stored, kind, **options)


@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles"])
def test_differences_that_float32_can_not_tell_are_refused(kind):
    with pytest.raises(DataError, match=r"channel 0 holds values that differ by .*rescale"):
        normalized(np.linspace(0, 1e-50, 27).reshape(1, 3, 3, 3), kind)
    small = np.linspace(0, 1e-30, 27).reshape(1, 3, 3, 3)
    assert np.isfinite(normalized(small, kind)).all() and normalized(small, kind).max() > 0.9
