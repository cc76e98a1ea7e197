"""Values of resampled images and labels, beside scipy and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from ucf_vit.core.errors import DataError
from ucf_vit.data.geometry.crop import foreground_box, otsu
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.labels import MOST, label_back, resample_label
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import regrid
from ucf_vit.data.geometry.resample import coarse_axis, resample_image, resample_mask

rng = np.random.default_rng(0)


def grid(shape, spacing, wanted):
    return regrid(Geometry(shape, np.diag([*spacing, 1.0])), GridOptions(spacing=wanted))


@pytest.mark.parametrize("wanted", [(0.8, 0.7, 0.9), (1.0, 0.6, 1.0)])
def test_images_are_interpolated_by_cubic_splines_as_in_scipy(wanted):
    image = rng.normal(size=(2, 20, 17, 15)).astype(np.float32)
    one = grid(image.shape[1:], (1, 1, 1), wanted)
    found = resample_image(image, one)
    for channel, expected in zip(found, image, strict=True):
        other = ndimage.affine_transform(
            expected.astype(float), one.steps, one.offsets, one.shape, order=3, mode="nearest"
        )
        np.testing.assert_allclose(channel[1:-1, 1:-1, 1:-1], other[1:-1, 1:-1, 1:-1], atol=2e-5)


def test_a_shrinking_axis_is_smoothed_first():
    """Stripes finer than the new voxels become their mean; those that are coarser stay."""
    stripes = np.broadcast_to(np.arange(60)[:, None, None] % 2, (60, 6, 6)).astype(np.float32)
    one = grid(stripes.shape, (1, 1, 1), (4, 1, 1))
    assert np.abs(resample_image(stripes, one)[2:-2] - 0.5).max() < 0.05
    gaussian = ndimage.gaussian_filter1d(stripes.astype(float), 1.5, axis=0, mode="nearest")
    other = ndimage.affine_transform(gaussian, one.steps, one.offsets, one.shape, order=3, mode="nearest")
    np.testing.assert_allclose(resample_image(stripes, one)[1:-1], other[1:-1], atol=1e-4)


def test_planes_stay_planes():
    x, y, z = np.indices((20, 20, 20))
    image = (2 * x - 3 * y + z).astype(np.float32)
    one = grid(image.shape, (1, 1, 1), (0.7, 0.8, 0.9))
    found = resample_image(image, one)
    points = [o + s * np.arange(n) for o, s, n in zip(one.offsets, one.steps, one.shape, strict=True)]
    i, j, k = np.meshgrid(*points, indexing="ij")
    inner = (slice(6, -6),) * 3
    np.testing.assert_allclose(found[inner], (2 * i - 3 * j + k)[inner], atol=2e-3)


@pytest.mark.parametrize(
    ("spacing", "wanted", "axis"),
    [
        ((1, 1, 3.1), (1, 1, 1), 2),
        ((1, 1, 3), (1, 1, 1), None),
        ((1, 1, 1), (1, 4, 1), 1),
        ((0.3, 1.2, 1.2), (1, 1, 1), None),
    ],
)
def test_slices_that_are_far_apart_are_repeated(spacing, wanted, axis):
    image = rng.normal(size=(12, 12, 12)).astype(np.float32)
    one = grid(image.shape, spacing, wanted)
    assert coarse_axis(one) == axis
    if spacing == (1, 1, 3.1):
        found = resample_image(image, one)
        assert found.shape == (12, 12, 37)
        nearest = np.floor(one.offsets[2] + one.steps[2] * np.arange(37) + 0.5).astype(int).clip(0, 11)
        np.testing.assert_array_equal(found, image[..., nearest])


def test_missing_values_stay_missing_and_change_no_other_value():
    image = np.full((1, 12, 12, 12), 5, np.float32)
    image[0, 3:6, 3:6, 3:6] = np.nan
    found = resample_image(image, grid(image.shape[1:], (1, 1, 1), (0.5, 0.5, 0.5)))
    gone = np.isnan(found[0])
    assert gone[6:12, 6:12, 6:12].all() and gone.sum() == 6**3
    np.testing.assert_allclose(found[0][~gone], 5, atol=1e-4)
    image[0, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="infinite values"):
        resample_image(image, grid(image.shape[1:], (1, 1, 1), (0.5, 0.5, 0.5)))


def test_labels_have_only_values_that_were_there_and_the_largest_share_wins():
    label = np.zeros((16, 16, 16), np.int16)
    label[4:9, 4:12, 4:12], label[9:12, 4:12, 4:12] = 7, -3
    one = grid(label.shape, (1, 1, 1), (0.6, 0.7, 0.8))
    found = resample_label(label, one)
    assert found.dtype == label.dtype and found.shape == one.shape
    assert set(np.unique(found)) == {-3, 0, 7}
    shares = [
        ndimage.affine_transform(
            (label == v).astype(float), one.steps, one.offsets, one.shape, order=1, mode="nearest"
        )
        for v in (-3, 0, 7)
    ]
    best = np.sort(shares, axis=0)
    clear = best[-1] - best[-2] > 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], np.array([-3, 0, 7])[np.argmax(shares, axis=0)][clear])


def test_labels_with_nan_and_many_values():
    label = np.zeros((9, 9, 9), np.float32)
    label[:4] = np.nan
    found = resample_label(label, grid(label.shape, (1, 1, 1), (0.5, 0.5, 0.5)))
    assert np.isnan(found[:8]).all() and (found[8:] == 0).all()
    instances = np.arange(9**3).reshape(9, 9, 9).astype(np.int32)
    assert instances.size > MOST
    one = grid(instances.shape, (1, 1, 1), (0.5, 0.5, 0.5))
    doubled = instances.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert np.array_equal(resample_label(instances, one), doubled)
    assert np.array_equal(label_back(doubled[..., :] * 0 + 5, one), np.full((9, 9, 9), 5))


def test_masks_are_interpolated_as_labels():
    mask = rng.random((10, 10, 10)) > 0.7
    one = grid(mask.shape, (1, 1, 1), (0.6, 0.6, 0.6))
    found = resample_mask(mask * 4, one)
    assert found.dtype == bool
    assert np.mean(found == (resample_label(mask.astype(np.uint8), one) > 0)) > 0.99


def test_the_box_of_the_foreground():
    image = np.zeros((2, 10, 11, 12), np.float32)
    image[0, 2:5, 3, 4], image[1, 6, 5:7, 8] = 1, -1
    image[0, 0, 0, 0] = np.nan
    assert foreground_box(image, "nonzero") == ((2, 7), (3, 7), (4, 9))
    assert foreground_box(np.zeros((1, 4, 5, 6)), "nonzero") == ((0, 4), (0, 5), (0, 6))
    ct = rng.normal(-1000, 20, (1, 20, 20, 20))
    ct[0, 5:15, 6:14, 7:13] = rng.normal(40, 30, (10, 8, 6))
    ct[0, 9, 9, 9] = 30000  # metal
    assert foreground_box(ct, "threshold") == ((5, 15), (6, 14), (7, 13))
    assert -900 < otsu(ct) < -100
    assert foreground_box(ct, "none") == ((0, 20),) * 3
