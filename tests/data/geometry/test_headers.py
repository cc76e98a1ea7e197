"""The grid in space that headers of NIfTI and DICOM tell, and the rules where they contradict themselves."""

import nibabel
import numpy as np
import pytest
from places import SHAPE, affine, write

from dicom_files import save_series
from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.nifti import read_geometry, read_header, write_like
from ucf_vit.data.formats.nifti.header import read_stored_header
from ucf_vit.data.sources import BasicCT, Dicom

PLACE = affine((0.7, 0.9, 2.5), (-120.3, 44.1, -900.7), (0.1, -0.2, 0.3)).astype(np.float32).astype(float)
OTHER = affine((1, 1, 1))


def test_the_sform_goes_before_the_qform_and_this_before_the_spacing(tmp_path):
    path = tmp_path / "a.nii"
    assert np.array_equal(read_geometry(write(path, PLACE, PLACE)).affine, PLACE)
    assert read_geometry(write(path, PLACE, PLACE)).remarks == ()
    np.testing.assert_allclose(read_geometry(write(path, None, PLACE)).affine, PLACE, atol=1e-4)
    bare = read_geometry(write(path, pixdim=[1, 2, 3, 4, 0, 0, 0, 0]))
    assert bare.spacing == (2, 3, 4) and bare.shape == SHAPE
    both = read_geometry(write(path, PLACE, OTHER))
    assert np.array_equal(both.affine, PLACE)
    (told,) = both.remarks
    assert "sform and qform place voxels up to" in told and "the sform is used" in told


@pytest.mark.parametrize("broken", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.ones((4, 4))])
def test_a_singular_sform_is_replaced_by_the_qform_and_refused_where_there_is_none(tmp_path, broken):
    rows = {f"srow_{axis}": broken[n] for n, axis in enumerate("xyz")}
    mended = read_geometry(write(tmp_path / "a.nii", PLACE, PLACE, **rows))
    np.testing.assert_allclose(mended.affine, PLACE, atol=1e-4)
    assert mended.remarks == ("the sform is singular or not finite, and not used",)
    path = write(tmp_path / "b.nii", PLACE, **rows)
    assert read_header(path).shape == SHAPE  # as stored it can be used
    with pytest.raises(DataError, match=r"b\.nii: its header has no position .* singular .*as_stored"):
        read_geometry(path)


def test_a_quaternion_that_is_none_is_no_qform(tmp_path):
    fields = {"quatern_b": 2.0, "quatern_c": 2.0}
    assert np.array_equal(read_geometry(write(tmp_path / "a.nii", PLACE, PLACE, **fields)).affine, PLACE)
    with pytest.raises(DataError, match="no position in space"):
        read_geometry(write(tmp_path / "b.nii", None, PLACE, **fields))


@pytest.mark.filterwarnings("ignore")
def test_negative_and_zero_spacings_are_mended_and_named(tmp_path, caplog):
    found = read_geometry(write(tmp_path / "a.nii", None, PLACE, pixdim=[1, -0.7, 0, 2.5, 0, 0, 0, 0]))
    np.testing.assert_allclose(found.spacing, (0.7, 1, 2.5), rtol=1e-6)
    assert found.remarks == ("the spacing (-0.7, 0, 2.5) is not positive: sizes are used, and 1 mm for 0",)
    placed = read_geometry(write(tmp_path / "b.nii", PLACE, pixdim=[1, -0.7, 0, 2.5, 0, 0, 0, 0]))
    assert np.array_equal(placed.affine, PLACE) and not placed.remarks
    assert not caplog.records  # nibabel says it without the name of the file, once per read


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1e3), (2, 1), (3, 1e-3), (2 + 8, 1)])
def test_lengths_are_in_mm_whatever_the_unit(tmp_path, unit, factor):
    found = read_geometry(write(tmp_path / "a.nii", PLACE, xyzt_units=unit))
    np.testing.assert_allclose(found.affine[:3], PLACE[:3] * factor, rtol=1e-12)
    assert found.affine[3].tolist() == [0, 0, 0, 1]


def test_sheared_axes_are_kept_and_named(tmp_path):
    sheared = np.array(PLACE)
    sheared[:3, 1] += 0.3 * sheared[:3, 0]
    found = read_geometry(write(tmp_path / "a.nii", sheared))
    np.testing.assert_allclose(found.affine, sheared, rtol=1e-6)
    (told,) = found.remarks
    assert told.startswith("axes 0 and 1 meet at 76.") and "resampled along its own axes" in told


def test_the_source_of_nifti_volumes_tells_the_grid_of_the_image(tmp_path, scratch):
    (tmp_path / "imagesTr").mkdir()
    write(tmp_path / "imagesTr/a.nii", PLACE)
    source = BasicCT(tmp_path, scratch=scratch)
    found = source.geometry(source.items()[0])
    assert np.array_equal(found.affine, PLACE) and found.shape == SHAPE


def test_dicom_series_are_turned_to_the_axes_of_nifti(tmp_path, scratch):
    """x and y of DICOM grow to the left and to the back."""
    rows, columns = np.array([0.8, 0.6, 0]), np.array([0, 0, -1.0])
    volume = np.zeros((4, 5, 3), np.int16)
    save_series(tmp_path / "a", volume, orientation=(*rows, *columns))
    source = Dicom(tmp_path, scratch=scratch)
    found = source.geometry(source.items()[0])
    normal = np.cross(rows, columns)
    expected = np.stack([rows * 0.7, columns * 0.7, normal * 2.5], axis=1) * [[-1], [-1], [1]]
    np.testing.assert_allclose(found.affine[:3, :3], expected, atol=1e-9)
    np.testing.assert_allclose(found.affine[:3, 3], 0, atol=1e-6)
    assert found.shape == (4, 5, 3) and not found.remarks


def test_a_single_slice_is_as_thick_as_it_says(tmp_path, scratch):
    save_series(tmp_path / "a", np.zeros((4, 5, 1), np.int16))
    source = Dicom(tmp_path, scratch=scratch)
    found = source.geometry(source.items()[0])
    assert found.spacing == (0.7, 0.7, 1.0)
    assert found.remarks == ("a single slice without a thickness: 1 mm is used",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_prediction_is_written_with_the_header_of_its_image_also_where_it_contradicts_itself(
    tmp_path, suffix
):
    fields = {
        "pixdim": [1, -0.7, 0, 2.5, 0, 0, 0, 0],
        "xyzt_units": 3,
        "descrip": b"scan",
        "scl_slope": 2,
        "scl_inter": 0,
    }
    image = tmp_path / "a.nii"
    write(image, PLACE, OTHER, **fields)
    values = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    path = tmp_path / f"b{suffix}"
    write_like(path, values, str(image))
    found = nibabel.load(path)
    assert np.array_equal(np.asarray(found.dataobj), values) and found.get_data_dtype() == np.int16
    before, after = read_stored_header(str(image)), read_stored_header(str(path))
    for name in set(before.keys()) - {"datatype", "bitpix", "scl_slope", "scl_inter", "cal_min", "cal_max"}:
        assert before[name].tobytes() == after[name].tobytes(), name
    assert np.array_equal(read_geometry(str(path)).affine, read_geometry(str(image)).affine)
    with pytest.raises(
        DataError, match=r"c\.nii: values have the shape \(8, 7, 5\), .*a\.nii has \(8, 7, 6\)"
    ):
        write_like(tmp_path / "c.nii", values[..., :5], str(image))
