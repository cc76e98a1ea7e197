"""Programs of exported folders, part by part, beside the code of this package that they repeat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import regrid
from ucf_vit.data.geometry.resample import resample_image
from ucf_vit.data.geometry.undo import values_to_original
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.export.processing import _values as described
from ucf_vit.export.shipped.images import normalise, tiles
from ucf_vit.export.shipped.postprocess import label, postprocess
from ucf_vit.export.shipped.resampling import Resampling
from ucf_vit.export.shipping import SHIPPED
from ucf_vit.patching.sliding_window.windows import Windows, window_stride
from ucf_vit.patching.tiles import Tiling
from ucf_vit.tasks.postprocessing import ClassOptions, Postprocessing

SHAPES = array_shapes(min_dims=2, max_dims=3, max_side=9)
OPERATIONS = st.builds(ClassOptions, st.booleans(), st.sampled_from([0.0, 1.5, 3.0, 4.5]), st.booleans())


@settings(deadline=None)
@given(
    arrays(np.uint8, SHAPES, elements=st.integers(0, 2)),
    st.dictionaries(st.integers(1, 3), OPERATIONS),
    st.sampled_from([0.5, 1.0, 1.5]),
)
def test_post_processing(labels: np.ndarray, classes: dict[int, ClassOptions], voxel: float) -> None:
    """Few classes in few voxels: components of one size, and holes with other classes in them, are common."""
    chosen = Postprocessing(classes)
    found = postprocess(labels, chosen.dump(), voxel)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, chosen.apply(labels, voxel))


@settings(deadline=None)
@given(arrays(bool, SHAPES), st.booleans())
def test_components(mask: np.ndarray, corners: bool) -> None:
    """The same components in the same order as those of scipy."""
    structure = np.ones((3,) * mask.ndim) if corners else None
    expected, _ = ndimage.label(mask, structure)
    _, numbers = np.unique(label(mask, corners), return_inverse=True)
    np.testing.assert_array_equal(numbers.ravel() + 1, expected[mask])


@pytest.mark.parametrize(
    "how",
    [
        Normalization("minmax"),
        Normalization("zscore", nan=0.5),
        Normalization("window", low=-0.5, high=0.7),
        Normalization("percentiles", low=5, high=90),
        Normalization("mean_std", mean=(0.3, -0.2), std=(2.0, 0.5)),
        Normalization("mean_std", mean=(0.3,), std=(2.0,)),
        Normalization("none"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_values(how: Normalization, dtype: type) -> None:
    """Also of an object that is smaller than the share which percentiles leave out."""
    image = (100 * np.random.default_rng(0).standard_normal((2, 5, 6, 7))).astype(dtype)
    image[1] = 0
    image[1, 0, 0, :3] = 50
    if how.nan is not None and dtype is not np.int16:
        image[0, 1] = np.nan
    expected = np.empty(image.shape, np.float32)
    how.apply(image, how.fit(image, range(2)), expected)
    np.testing.assert_allclose(normalise(image, described(how)), expected, rtol=1e-6, atol=1e-6)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="channel 1 holds NaN"):
        normalise(np.array([[1.0, 2], [3, np.nan]]), described(Normalization("minmax")))


@given(st.data(), st.integers(2, 3), st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.75]))
def test_tiles(data: st.DataObject, dims: int, overlap: float) -> None:
    """The windows of segmentations, and the tiles of classifications, which have another distance."""
    shape = data.draw(st.tuples(*[st.integers(1, 14)] * dims))
    window = data.draw(st.tuples(*[st.integers(1, 7)] * dims))
    padded = np.maximum(shape, window).tolist()
    windows, tiling = Windows(padded, window, overlap), Tiling(padded, window, overlap, use_all=True)
    image = np.arange(1.0, 1 + np.prod(shape)).reshape(1, *shape)
    whole = np.pad(image, [(0, 0), *((0, p - n) for p, n in zip(padded, shape, strict=True))])
    for cover, stride in (
        (windows, [window_stride(side, overlap) for side in window]),
        (tiling, [axis.stride for axis in tiling.axes]),
    ):
        found = list(tiles(image, list(window), stride))
        assert [place for place, _ in found] == [cover.region(number) for number in range(len(cover))]
        assert all(np.array_equal(values[0], whole[(slice(None), *place)]) for place, values in found)


@pytest.mark.parametrize(
    ("spacing", "wanted"),
    [
        ((1.0, 1.0, 1.0), (0.7, 1.0, 1.6)),
        ((0.9, 0.9, 3.0), (1.2, 0.9, 1.0)),  # slices far apart before
        ((1.0, 1.0, 1.0), (1.0, 1.00001, 4.0)),  # and after
        ((2.0, 0.5, 1.0), (2.0, 0.5, 1.0)),
    ],
)
def test_spacing(spacing: tuple[float, ...], wanted: tuple[float, ...]) -> None:
    image = np.random.default_rng(0).standard_normal((2, 9, 8, 7)).astype(np.float32)
    grid = regrid(Geometry((9, 8, 7), np.diag([*spacing, 1.0])), GridOptions(spacing=wanted))
    plan = Resampling([9, 8, 7], np.array(spacing), list(wanted))
    assert tuple(plan.sizes) == grid.shape
    used = plan.forward(image)
    np.testing.assert_allclose(used, resample_image(image, grid), atol=1e-5)
    np.testing.assert_allclose(plan.back(used), values_to_original(used, grid), atol=1e-5)


def test_programs_are_short_and_need_nothing_of_this_package() -> None:
    files = list(SHIPPED.glob("*.py"))
    assert len(files) > 5
    for file in files:
        text = file.read_text()
        assert len(text.splitlines()) <= 150 and "ucf_vit" not in text, file
