"""DICOM series as volumes: order by position, values, and series that are not whole."""

import numpy as np
import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources import Dicom

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
from dicom_files import save_series  # noqa: E402

VOLUME = np.random.default_rng(0).integers(-900, 1200, (10, 8, 6)).astype(np.int16)


@pytest.fixture
def series(tmp_path):
    save_series(tmp_path / "one", VOLUME)
    return tmp_path


def test_slices_are_sorted_by_position_and_rescaled(tmp_path, scratch):
    save_series(tmp_path / "b", VOLUME, slope=0.5, intercept=-1024, order=[4, 0, 5, 2, 1, 3])
    save_series(tmp_path / "a", VOLUME[:, :, :1])
    source = Dicom(tmp_path, scratch=scratch)
    assert [item.key for item in source.items()] == ["a", "b"]
    a, b = source.items()
    assert (source.shape(a), source.shape(b)) == ((1, 10, 8, 1), (1, 10, 8, 6))
    expected = VOLUME.astype(np.float32) * 0.5 - 1024
    assert np.array_equal(source.read(b).image[0], expected)
    region = (slice(2, 7), slice(1, 4), slice(3, 5))
    image = source.read(b, region).image
    assert np.array_equal(image[0], expected[region]) and image.dtype == np.float32
    assert isinstance(image.base, np.memmap) or isinstance(image, np.memmap)


def test_an_oblique_series_and_two_in_one_directory(tmp_path, scratch):
    turned = [0.8, 0.6, 0, -0.6, 0.8, 0]
    for number in range(2):
        save_series(tmp_path / "x", VOLUME + number, name=f"s{number}_", orientation=turned, gap=-2.5)
    (tmp_path / "x" / "notes.txt").write_text("x")
    (tmp_path / "DICOMDIR").write_bytes(b"")
    source = Dicom(tmp_path, scratch=scratch)
    assert [item.key[:2] for item in source.items()] == ["x/", "x/"]
    volumes = [source.read(item).image[0] for item in source.items()]
    assert {int((v[:, :, ::-1] - VOLUME).max()) for v in volumes} == {0, 1}


def test_the_group_of_a_series_is_its_patient(tmp_path, scratch):
    for folder, patient in (("a", "P7"), ("b", " P8 "), ("c", "")):
        save_series(tmp_path / folder, VOLUME, patient=patient)
    assert [item.group for item in Dicom(tmp_path, scratch=scratch).items()] == ["P7", "P8", ""]


def test_files_without_suffix(tmp_path, scratch):
    save_series(tmp_path, VOLUME, suffix="")
    source = Dicom(tmp_path, scratch=scratch)
    assert np.array_equal(source.read(source.items()[0]).image[0], VOLUME)


def check(root, scratch, message):
    with pytest.raises(DataError, match=message):
        source = Dicom(root, scratch=scratch)
        source.shape(source.items()[0])
        source.read(source.items()[0])


def test_missing_and_double_slices(series, scratch):
    kept = (series / "one/002.dcm").read_bytes()
    (series / "one/002.dcm").unlink()
    check(series, scratch, r"003\.dcm: 1 slice\(s\) missing between it and .*001\.dcm")
    (series / "one/002.dcm").write_bytes(kept)
    (series / "one/again.dcm").write_bytes((series / "one/004.dcm").read_bytes())
    check(series, scratch, r"one/.*\.dcm: has the same position as .*\.dcm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Rows": 4}, r"003\.dcm: size, spacing or orientation differs from .*000\.dcm"),
        ({"PixelSpacing": [1, 2]}, r"003\.dcm: size, spacing or orientation differs"),
        ({"ImagePositionPatient": [0, 0, 8.1]}, r"003\.dcm: 3\.1 mm, not 2\.5, between it and .*002\.dcm"),
        ({"ImagePositionPatient": None}, r"003\.dcm: .*has no ImagePositionPatient"),
        ({"NumberOfFrames": 7}, r"003\.dcm: .*not one slice"),
    ],
)
def test_a_slice_of_another_shape_or_position_is_refused(series, scratch, change, message):
    path = series / "one/003.dcm"
    found = pydicom.dcmread(path)
    for name, value in change.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    found.save_as(path)
    check(series, scratch, message)


@pytest.mark.parametrize("size", [60, 300, 900])
def test_a_cut_off_slice_fails_by_name_or_its_series_is_left_out(series, scratch, size):
    save_series(series / "two", VOLUME)
    path = series / "one/003.dcm"
    path.write_bytes(path.read_bytes()[:size])
    check(series, scratch, r"003\.dcm: (no usable DICOM header|can't be decoded)")
    if size < 900:
        data = build_dataset(
            *("d", "dicom", series), tile_size=(4, 4, 4), labels=False, on_error="skip", scratch=scratch
        )
        assert [item.key for item in data.items] == ["two"] and len(data.skipped) == 1


def changed(root, **tags):
    for path in sorted(root.rglob("*.dcm")):
        found = pydicom.dcmread(path)
        for name, value in tags.items():
            setattr(found, name, value(found) if callable(value) else value)
        found.save_as(path)
    return root


def values_in(root, scratch):
    source = Dicom(root, scratch=scratch)
    return source.read(source.items()[0]).image[0]


@pytest.mark.parametrize(
    "empty",
    [("RescaleSlope",), ("RescaleIntercept",), ("RescaleSlope", "RescaleIntercept"), ("NumberOfFrames",)],
)
def test_empty_tags_mean_the_same_as_missing_ones(series, scratch, empty):
    changed(series, **dict.fromkeys(empty))
    assert np.array_equal(values_in(series, scratch), VOLUME)


@pytest.mark.parametrize(
    "wrong",
    [{"RescaleSlope": 0}, {"RescaleSlope": "1e39"}, {"RescaleIntercept": "1e39"}, {"RescaleSlope": [1, 2]}],
)
def test_a_rescale_that_makes_no_values_is_refused(series, scratch, wrong):
    changed(series, **wrong)
    check(series, scratch, r"00\d\.dcm: can't be decoded \(.*(slope|float)")


@pytest.mark.parametrize("signed", [False, True])
def test_x_rays_that_are_white_where_they_are_small_are_turned_over(series, scratch, signed):
    """12 bits stored: smallest and largest change places, so that dense tissue is bright in both kinds."""
    stored = np.abs(VOLUME) + 4 * (VOLUME > 0)
    pixels = iter(np.moveaxis(stored, -1, 0))
    tags = {"PixelRepresentation": int(signed), "BitsStored": 12, "HighBit": 11}
    changed(series, PixelData=lambda found: next(pixels).T.astype("<u2").tobytes(), **tags)
    plain = values_in(series, scratch)
    assert np.array_equal(plain, stored)
    changed(series, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(values_in(series, scratch), (-1 if signed else 4095) - plain)


def test_quantities_with_a_unit_are_not_turned_over(tmp_path, scratch):
    save_series(tmp_path, VOLUME, slope=0.5, intercept=-1024)
    changed(tmp_path, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(values_in(tmp_path, scratch), VOLUME.astype(np.float32) * 0.5 - 1024)


def test_colours_and_lookup_tables_are_refused(series, scratch):
    changed(series, PhotometricInterpretation="PALETTE COLOR")
    check(series, scratch, r"000\.dcm: .*its pixels are PALETTE COLOR; expected grey ones")
    changed(series, PhotometricInterpretation="MONOCHROME2", ModalityLUTSequence=[pydicom.Dataset()])
    check(series, scratch, r"000\.dcm: .*need a Modality LUT")


def moved(along, across):
    """Slice i lies i * along mm beside the first one along its rows, i * across along its columns."""
    count = iter(range(99))

    def place(found):
        number = next(count)
        row, column = np.reshape(found.ImageOrientationPatient, (2, 3)).astype(float)
        shift = number * (along * row + across * column)
        return [round(v, 6) for v in (np.asarray(found.ImagePositionPatient, float) + shift).tolist()]

    return place


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)])
@pytest.mark.parametrize(("along", "across"), [(0.1, 0), (0, 0.44), (-0.1, 0.02), (0.0, -3)])
def test_a_sheared_series_is_refused(tmp_path, scratch, orientation, along, across):
    """As by a tilted gantry, or a table that moves aside: 0.44 mm per 2.5 are 10 degrees."""
    save_series(tmp_path, VOLUME, orientation=orientation)
    changed(tmp_path, ImagePositionPatient=moved(along, across))
    check(
        tmp_path,
        scratch,
        r"00\d\.dcm: lies \S+ mm along its rows .* beside .*000\.dcm: the volume is sheared",
    )


def test_positions_that_are_rounded_do_not_shear(tmp_path, scratch):
    save_series(tmp_path, VOLUME, orientation=(0.8, 0.6, 0, -0.6, 0.8, 0))
    changed(tmp_path, ImagePositionPatient=moved(0.05, -0.06))
    assert np.array_equal(values_in(tmp_path, scratch), VOLUME)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
        {"ImageOrientationPatient": [1, 0, 0]},
        {"PixelSpacing": [0, 0.7]},
        {"PixelSpacing": [-0.7, 0.7]},
        {"PixelSpacing": [0.7]},
        {"Rows": 0},
    ],
)
def test_a_header_without_a_place_in_space_is_refused(series, scratch, wrong):
    changed(series, **wrong)
    check(series, scratch, r"00\d\.dcm: no usable DICOM header")


def test_missing_files_and_directories(tmp_path, scratch):
    with pytest.raises(DataError, match="no DICOM image found"):
        Dicom(tmp_path, scratch=scratch)
    with pytest.raises(DataError, match="nowhere: no such directory"):
        Dicom(tmp_path / "nowhere", scratch=scratch)
