"""A label belongs to its image voxel by voxel only where their headers put both at one place."""

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from places import affine

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.geometry.difference import difference
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources import BasicCT

SHAPE = (8, 8, 8)


def save(path, placed: np.ndarray, kind=nibabel.Nifti1Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(kind(np.ones(SHAPE, np.uint8), placed), path)


def pair(root, image: np.ndarray, label: np.ndarray) -> None:
    save(root / "imagesTr/a.nii.gz", image)
    save(root / "labelsTr/a.nii.gz", label)


PLACE = affine((0.7, 0.7, 2.5), (-120.3, 44.1, -900.7), (0.1, -0.2, 0.3))
ELSEWHERE = {
    "orientation L.S, not R.S|orientation L": affine((-1, -1, 1), (7, 7, 0)),
    r"spacing \(3, 3, 3\) mm, not \(1, 1, 1\) mm": affine((3, 3, 3)),
    r"origin \(40, 0, 0\) mm, not \(0, 0, 0\) mm: voxels up to 40 mm apart": affine(origin=(40, 0, 0)),
    r"origin \(0\.5, 0\.5, 0\.5\) mm": affine(origin=(0.5, 0.5, 0.5)),
    "its axes are turned": affine(angles=(0.05, 0, 0)),
}


@pytest.mark.parametrize("told", ELSEWHERE)
def test_a_label_elsewhere_is_refused_with_both_values(tmp_path, scratch, told):
    pair(tmp_path, affine(), ELSEWHERE[told])
    source = BasicCT(tmp_path, scratch=scratch)
    message = rf"labelsTr/a\.nii\.gz: its header places it elsewhere.*({told}).*label_geometry: accept"
    with pytest.raises(DataError, match=message):
        source.shape(source.items()[0])


def test_labels_elsewhere_are_accepted_by_option_and_reported_once(tmp_path, scratch, caplog):
    for name in "abc":
        save(tmp_path / f"imagesTr/{name}.nii", affine())
        save(tmp_path / f"labelsTr/{name}.nii", affine(origin=(40 * (name != "b"), 0, 0)))
    options = {"tile_size": (4, 4, 4), "scratch": scratch}
    data = build_dataset("ct", "basic_ct", tmp_path, options={"label_geometry": "accept"}, **options)
    assert len(data.items) == 3
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("ct: 2 label(s) lie elsewhere") and "a.nii: origin (40, 0, 0) mm" in told


def test_labels_are_not_looked_at_where_none_are_used(tmp_path, scratch):
    pair(tmp_path, affine(), affine(origin=(40, 0, 0)))
    options = {"tile_size": (4, 4, 4), "labels": False, "scratch": scratch}
    assert len(build_dataset("ct", "basic_ct", tmp_path, **options).items) == 1


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_headers_may_say_one_place_in_different_ways(tmp_path, scratch, kind, form):
    """In float32 or float64, by a matrix or by quaternions."""
    save(tmp_path / "imagesTr/a.nii.gz", PLACE)
    (tmp_path / "labelsTr").mkdir()
    label = kind(np.ones(SHAPE, np.uint8), PLACE)
    label.set_sform(PLACE if form == "sform" else None, code=int(form == "sform"))
    label.set_qform(PLACE if form == "qform" else None, code=int(form == "qform"))
    nibabel.save(label, tmp_path / "labelsTr/a.nii.gz")
    source = BasicCT(tmp_path, scratch=scratch)
    assert source.shape(source.items()[0]) == (1, *SHAPE)


def header(placed: np.ndarray, shape=SHAPE) -> Geometry:
    return Geometry(shape, placed)


def test_the_tolerance_is_a_tenth_of_the_shortest_side_of_a_voxel_at_the_farthest_corner():
    image = header(affine((0.5, 1, 5)))
    for apart, expected in ((0.049, True), (0.051, False)):
        assert (difference(image, header(affine((0.5, 1, 5), (0, 0, apart)))) == "") is expected
    for apart, expected in ((0.049, True), (0.051, False)):
        wider = 0.5 + apart / (SHAPE[0] - 1)
        assert (difference(image, header(affine((wider, 1, 5)))) == "") is expected


def test_a_place_that_is_not_finite_is_none():
    broken = affine()
    broken[0, 3] = np.nan
    for one, other in ((broken, affine()), (affine(), broken), (broken, broken)):
        assert "has no position in space" in difference(header(one), header(other))


numbers = st.floats(-500, 500)
spacings = st.floats(0.1, 6)


@settings(max_examples=60)
@given(
    st.tuples(spacings, spacings, spacings),
    st.tuples(numbers, numbers, numbers),
    st.tuples(numbers, numbers, numbers),
    st.tuples(*[st.integers(1, 600)] * 3),
    st.sampled_from(["RAS", "LPS", "PIR", "SLA", "ASL"]),
)
def test_rounding_is_no_difference_and_other_axes_are(spacing, origin, angles, shape, codes):
    placed = affine(spacing, origin, angles)
    assert difference(header(placed, shape), header(placed.astype(np.float32).astype(float), shape)) == ""
    transform = ornt_transform(io_orientation(placed), axcodes2ornt(codes))
    moved = placed @ nibabel.orientations.inv_ornt_aff(transform, shape)
    same = np.allclose(moved, placed)
    if max(shape) > 1 and len(set(shape)) == 1:
        assert (difference(header(placed, shape), header(moved, shape)) == "") == same
