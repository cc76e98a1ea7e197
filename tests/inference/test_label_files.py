"""Labels in every format, read back with other libraries at the place of their images."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dicom_files import save_series
from ucf_vit.core.errors import UserError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files import FORMATS, LabelClass, format_of

SHAPE = (7, 6, 5)
CLASSES = [
    LabelClass("background", (0.1, 0.1, 0.1)),
    LabelClass("liver", (1, 0.5, 0)),
    LabelClass("2", (0, 0, 1)),
]


def labels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)


def case_of(path: Path, source: str = "files", dims: int = 3) -> Case:
    dataset = build_dataset("tiny", source, str(path), tile_size=(4,) * dims, labels=False)
    return Case(dataset, 0, "case")


def written(path: Path, case: Case, values: np.ndarray, name: str | None = None) -> Path:
    chosen = format_of(case, name)
    path = path / f"case{chosen.suffix(case)}"
    chosen.write(path, values, case, CLASSES)
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(".")] == []
    return path


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nhdr"])
def test_nrrd_and_metaimage_lie_where_their_image_lies(tmp_path: Path, ending: str) -> None:
    itk = pytest.importorskip("SimpleITK", reason="needs SimpleITK: pip install 'ucf-vit[itk]'")
    image = itk.GetImageFromArray(np.zeros(SHAPE[::-1], np.int16))
    image.SetOrigin((-3.25, 7.1, 11))
    image.SetSpacing((0.7, 1.3, 2.9))
    turn = itk.Euler3DTransform()
    turn.SetRotation(0.1, 0.2, 0.3)
    image.SetDirection(turn.GetMatrix())
    (tmp_path / "in").mkdir()
    itk.WriteImage(image, str(tmp_path / f"in/scan{ending}"))
    values = labels(*SHAPE)
    case = case_of(tmp_path / f"in/scan{ending}")
    path = written(tmp_path, case, values)
    assert path.suffix == (".mha" if ending == ".mha" else ".nrrd")
    found = itk.ReadImage(str(path))
    for place in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        stored = getattr(itk.ReadImage(str(tmp_path / f"in/scan{ending}")), place)()
        assert np.allclose(getattr(found, place)(), stored, rtol=0, atol=1e-14), place
    assert np.array_equal(itk.GetArrayFromImage(found).T, values) and found.GetPixelIDValue() == itk.sitkUInt8


@pytest.mark.parametrize("name", ["nifti", "nrrd", "mha", "tiff", "zarr"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    package = FORMATS[name].package
    if package:
        pytest.importorskip(package, reason=f"needs {package}")
    import nibabel

    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((16, 16, 16), np.int16), np.eye(4)), tmp_path / "in/a.nii")
    case, values = case_of(tmp_path / "in/a.nii"), np.random.default_rng(0).integers(0, 255, (16, 16, 16))
    path = tmp_path / "out" / f"a{FORMATS[name].suffix(case)}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises((OSError, UserError), match=rf"too large|{path.name}: cannot be written"):
            FORMATS[name].write(path, values.astype(np.uint8), case, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "out").iterdir())


def test_nifti_and_nrrd_of_one_scan_lie_at_the_same_place(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK", reason="needs SimpleITK: pip install 'ucf-vit[itk]'")
    import nibabel

    angle = np.array(
        [[np.cos(0.3), -np.sin(0.3), 0, 5], [np.sin(0.3), np.cos(0.3), 0, -7], [0, 0, 1, 2], [0, 0, 0, 1]]
    )
    nibabel.save(
        nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), angle @ np.diag([1, -2, 3, 1])), tmp_path / "a.nii"
    )
    case, values = case_of(tmp_path / "a.nii"), labels(*SHAPE)
    places = []
    for name in ("nifti", "nrrd", "mha"):
        image = itk.ReadImage(str(written(tmp_path / name, case, values, name)))
        assert np.array_equal(itk.GetArrayFromImage(image).T, values)
        places.append([*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection()])
    assert np.allclose(places[0], places[1], atol=1e-5) and np.allclose(places[0], places[2], atol=1e-5)


def test_png_has_the_colours_of_the_classes(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "scan.jpg")
    values = labels(9, 8)
    path = written(tmp_path, case_of(tmp_path / "scan.jpg", dims=2), values)
    assert path.suffix == ".png" and np.array_equal(np.asarray(Image.open(path)), values)
    colours = np.array([[26, 26, 26], [255, 128, 0], [0, 0, 255]])
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1], colours[values])


def test_tiff_keeps_resolution_and_place(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'ucf-vit[tiff]'")
    tags = ImageFileDirectory_v2()
    tags.tagtype[33550] = 12
    tags[33550] = (0.5, 0.5, 0.0)
    stored = Image.fromarray(np.zeros((9, 8), np.uint8))
    stored.save(tmp_path / "scan.tif", dpi=(300, 150), tiffinfo=tags)
    values = labels(9, 8)
    path = written(tmp_path / "o", case_of(tmp_path / "scan.tif", dims=2), values)
    with tifffile.TiffFile(path) as file, tifffile.TiffFile(tmp_path / "scan.tif") as image:
        assert np.array_equal(file.asarray(), values)
        for tag in ("XResolution", "YResolution", "ResolutionUnit", "ModelPixelScaleTag"):
            assert file.pages[0].tags[tag].value == image.pages[0].tags[tag].value
    wide = values.astype(np.int16) + 300
    assert np.array_equal(
        tifffile.imread(written(tmp_path / "w", case_of(tmp_path / "scan.tif", dims=2), wide)), wide
    )


def test_a_stack_becomes_a_stack(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'ucf-vit[tiff]'")
    tifffile.imwrite(tmp_path / "stack.tiff", np.zeros(SHAPE, np.uint16), photometric="minisblack")
    values = labels(*SHAPE)
    path = written(tmp_path / "o", case_of(tmp_path, "tiff"), values)
    assert path.suffix == ".tiff" and np.array_equal(tifffile.imread(path), values)


def test_zarr_knows_its_place_and_classes(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs zarr: pip install 'ucf-vit[zarr]'")
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([2.0, 3, 4, 1])), tmp_path / "a.nii")
    case = case_of(tmp_path / "a.nii")
    for values in (labels(*SHAPE), 2 - labels(*SHAPE)):
        found = zarr.open_array(written(tmp_path / "o", case, values, "zarr"), mode="r")
        assert np.array_equal(found[...], values) and found.dtype == np.uint8
    assert np.array_equal(found.attrs["affine"], np.diag([2.0, 3, 4, 1]))
    assert found.attrs["classes"] == ["background", "liver", "2"]
    assert json.loads((tmp_path / "o/case.zarr/zarr.json").read_text())["node_type"] == "array"


@pytest.mark.parametrize("absent", [False, True])
def test_dicom_series_get_a_segmentation_object(tmp_path: Path, absent: bool) -> None:
    """Each voxel of each segment at its place in the patient, by frames and their positions only."""
    pytest.importorskip("highdicom", reason="needs highdicom: pip install 'ucf-vit[dicomseg]'")
    import pydicom

    volume = np.zeros(SHAPE, np.int16)
    save_series(tmp_path / "in", volume, order=[3, 0, 4, 1, 2], orientation=(0, 1, 0, 0, 0, -1), frame=True)
    case, values = case_of(tmp_path / "in", "dicom"), labels(*SHAPE)
    values[values == 2] = 1 if absent else 2
    found = pydicom.dcmread(written(tmp_path / "o", case, values))
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in (tmp_path / "in").iterdir()]
    assert found.Modality == "SEG" and found.SegmentationType == "BINARY"
    assert found.StudyInstanceUID == headers[0].StudyInstanceUID and found.PatientID == "P7"
    assert [one.SegmentLabel for one in found.SegmentSequence] == ["liver", "2"]
    affine = case.source.geometry(case.item).affine
    again = np.zeros(SHAPE, np.uint8)
    shared = found.SharedFunctionalGroupsSequence[0]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [0, 1, 0, 0, 0, -1]
    for frame, about in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(about.PlanePositionSequence[0].ImagePositionPatient, float) * [-1, -1, 1]
        slice_number = round(float((np.linalg.inv(affine) @ [*place, 1])[2]))
        number = about.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        again[:, :, slice_number][frame.T > 0] = number
    assert np.array_equal(again, values)


def test_what_can_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4)), tmp_path / "a.nii")
    case = case_of(tmp_path / "a.nii")
    with pytest.raises(UserError, match=r"a\.nii: --format png takes no volumes"):
        format_of(case, "png")
    with pytest.raises(UserError, match="--format dicomseg is for DICOM series"):
        format_of(case, "dicomseg")
    absent: Any = FORMATS["zarr"]
    monkeypatch.setattr(absent, "package", "no_such_package")
    with pytest.raises(
        UserError, match=r"pip install 'ucf-vit\[zarr\]', or choose another .* --format nifti"
    ):
        format_of(case, "zarr")
