"""Turning, cropping and resampling keep every voxel at its place, and are undone to the bit."""

import json

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes
from places import affine

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.nifti import read_geometry, write_like
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.labels import resample_label
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Regrid, regrid
from ucf_vit.data.geometry.undo import label_to_original, values_to_original

spacings = st.floats(0.3, 5)
angles = st.floats(-7, 7)
sides = st.integers(1, 12)


@st.composite
def geometries(draw) -> Geometry:
    """Any grid: rotated, with axes in any order and direction."""
    place = affine(
        draw(st.tuples(*[spacings] * 3)),
        draw(st.tuples(*[st.floats(-500, 500)] * 3)),
        draw(st.tuples(*[angles] * 3)),
    )
    place[:3, :3] *= draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    return Geometry(draw(st.tuples(sides, sides, sides)), place)


options = st.builds(
    GridOptions,
    st.sampled_from(["RAS", "as_stored"]),
    st.none() | st.tuples(*[spacings] * 3),
    st.just("none"),
)


@st.composite
def boxes(draw, shape):
    ends = [sorted(draw(st.tuples(*[st.integers(0, side)] * 2))) for side in shape]
    return tuple(
        (start, stop) if start < stop else (0, side) for (start, stop), side in zip(ends, shape, strict=True)
    )


@settings(max_examples=100)
@given(st.data(), geometries(), options)
def test_voxels_stay_at_their_place(data, stored, chosen):
    grid = regrid(stored, chosen, data.draw(boxes(stored.shape)))
    found = grid.geometry
    assert found.shape == grid.shape
    if chosen.orientation == "RAS":
        assert "".join(aff2axcodes(found.affine)) == "RAS"
    if chosen.spacing is not None:
        np.testing.assert_allclose(found.spacing, chosen.spacing, rtol=2e-4)
    # The middle of the box is the middle of the new grid, and extents agree up to half a new voxel.
    middle = [(start + stop - 1) / 2 for start, stop in grid.box]
    turned = np.array(middle)
    for axis, flip in enumerate(grid.flips):
        if flip:
            turned[axis] = stored.shape[grid.axes[axis]] - 1 - turned[axis]
    old = np.empty(3)
    old[list(grid.axes)] = turned
    new = (np.array(grid.shape) - 1) / 2
    np.testing.assert_allclose(
        found.affine[:3, :3] @ new + found.affine[:3, 3],
        stored.affine[:3, :3] @ old + stored.affine[:3, 3],
        atol=1e-6,
    )
    extents = np.array(grid.sides), np.array(grid.shape) * grid.steps
    assert (np.abs(extents[0] - extents[1]) <= np.maximum(np.array(grid.steps), extents[0] * 1e-4)).all()


@settings(max_examples=60)
@given(st.data(), geometries())
def test_a_region_of_a_turned_and_cropped_item_is_read_as_a_view(data, stored):
    grid = regrid(stored, GridOptions("RAS"), data.draw(boxes(stored.shape)))
    array = np.arange(np.prod(stored.shape)).reshape(stored.shape)
    whole = grid.turn(array)[tuple(slice(*part) for part in grid.box)]
    assert whole.shape == grid.shape
    region = tuple(slice(*part) for part in data.draw(boxes(grid.shape)))
    part = grid.turn(array[grid.stored_region(region)])
    assert np.array_equal(part, whole[region]) and np.shares_memory(part, array)
    restored = label_to_original(whole, grid, background=-1)
    inside = np.zeros(stored.shape, bool)
    inside[grid.stored_region([slice(None)] * 3)] = True
    assert np.array_equal(restored, np.where(inside, array, -1)) and restored.dtype == array.dtype


@settings(max_examples=60)
@given(st.data(), geometries(), options)
def test_the_change_is_kept_as_json_to_the_last_bit(data, stored, chosen):
    grid = regrid(stored, chosen, data.draw(boxes(stored.shape)))
    again = Regrid.load(json.loads(json.dumps(grid.dump())))
    assert np.array_equal(again.stored.affine, stored.affine)
    assert np.array_equal(again.geometry.affine, grid.geometry.affine)
    for name in ("axes", "flips", "box", "shape", "steps"):
        assert getattr(again, name) == getattr(grid, name)


def test_spacings_that_differ_by_rounding_are_not_resampled():
    stored = Geometry((10, 10, 10), affine((0.9, 0.89999998, 3.0001)))
    grid = regrid(stored, GridOptions("RAS", (0.9, 0.9, 3)))
    assert not grid.resamples and grid.shape == stored.shape
    assert regrid(stored, GridOptions("RAS", (0.9, 0.9, 3.01))).resamples


def test_options_that_do_not_fit_the_axes_are_refused():
    flat = Geometry((4, 5), np.eye(4))
    with pytest.raises(DataError, match="RAS needs volumes, found 2 axes"):
        regrid(flat, GridOptions("RAS"))
    with pytest.raises(DataError, match=r"spacing \[1, 1, 1\] has 3 entries, the data has 2 axes"):
        regrid(flat, GridOptions(spacing=(1, 1, 1)))
    assert regrid(flat, GridOptions(spacing=(2, 1))).shape == (2, 5)


def smooth_shape(shape, spacing, radii, seed):
    """An ellipsoid with a smooth bump, in mm around the middle."""
    axes = [(np.arange(side) - (side - 1) / 2) * step for side, step in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    rng = np.random.default_rng(seed)
    a, b, c = radii
    distance = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    phase = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * x / a + phase[0]) * np.sin(2 * y / b + phase[1]) * np.sin(2 * z / c + phase[2])
    return (distance + 0.1 * waves < 1).astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_resampled_label_that_is_predicted_has_a_dice_of_0_99_on_the_original_grid(tmp_path_factory, data):
    """Smooth shapes with radii of 26 voxels or more of both grids, whatever rotation, flips and spacings."""
    spacing = np.array(data.draw(st.tuples(*[spacings] * 3)))
    wanted = np.clip(spacing * data.draw(st.tuples(*[st.floats(0.5, 2)] * 3)), 0.3, 5)
    place = affine(
        spacing, data.draw(st.tuples(*[st.floats(-500, 500)] * 3)), data.draw(st.tuples(*[angles] * 3))
    )
    place[:3, :3] *= data.draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    radii = 26 * np.maximum(spacing, wanted)
    shape = tuple(int(2.3 * radius / step) for radius, step in zip(radii, spacing, strict=True))
    label = smooth_shape(shape, spacing, radii, data.draw(st.integers(0, 99)))
    image = tmp_path_factory.mktemp("original") / "image.nii"
    nibabel.save(nibabel.Nifti1Image(label.astype(np.float32), place), image)

    stored = read_geometry(str(image))
    axes = regrid(stored, GridOptions("RAS")).axes
    grid = regrid(stored, GridOptions("RAS", tuple(wanted[list(axes)])))
    predicted = resample_label(grid.turn(label), grid)
    assert predicted.shape == grid.shape
    back = label_to_original(predicted, grid)
    written = image.with_name("prediction.nii")
    write_like(written, back, str(image))
    found = nibabel.load(written)
    found_label = np.asarray(found.dataobj)
    dice = 2 * (found_label & label).sum() / (found_label.sum() + label.sum())
    assert dice >= 0.99, (spacing, wanted, dice)
    original = nibabel.load(image)
    assert found.shape == shape and found.affine.tobytes() == original.affine.tobytes()
    for name in (
        "srow_x",
        "srow_y",
        "srow_z",
        "pixdim",
        "qoffset_x",
        "quatern_b",
        "sform_code",
        "xyzt_units",
    ):
        assert found.header[name].tobytes() == original.header[name].tobytes()
    shares = values_to_original(np.stack([predicted == 0, predicted == 1]), grid)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
