"""Which files belong to a data set: one rule for all sources, and nothing is left out in silence."""

import os
import shutil
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.formats.pictures import suffixes
from ucf_vit.data.sources import BasicCT, Dicom, Fields, ImageNet, NpyPairs, Tiff
from ucf_vit.data.sources.listing import HIDDEN, Listing, PassedOver, stem, suffix_of
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 10, 3), np.uint8)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def in_memory(root: Path, name: str) -> str:
    """The same files behind a URL."""
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in root.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"memory://{name}/{path.relative_to(root).as_posix()}", path.read_bytes())
    return f"memory://{name}"


NAMES = ("b.NII.GZ", "a.nii", "c.Nii", "d.nii.gz.txt", ".e.nii", "._a.nii", "Thumbs.db", "x.nii/f.nii")
NAMES = (*NAMES, "z/g.nii")


@pytest.mark.parametrize("deep", [False, True])
def test_the_same_files_locally_and_behind_a_url(tmp_path: Path, scratch: Scratch, deep: bool) -> None:
    touch(tmp_path / "data", *NAMES)
    roots = (str(tmp_path / "data"), in_memory(tmp_path / "data", f"members-{deep}"))
    found = []
    for root in roots:
        listing = Listing(root, Files(Cache(scratch)))
        members = listing.members("", (".nii", ".nii.gz"), deep=deep)
        assert all(member.path.startswith(root) for member in members)
        found.append(([member.name for member in members], str(listing.passed_over)))
    assert found[0] == found[1]
    names, passed = found[0]
    inner = ["x.nii/f.nii", "z/g.nii"] if deep else []
    assert names == ["a.nii", "b.NII.GZ", "c.Nii", *inner]
    assert "3 hidden (._a.nii, .e.nii, Thumbs.db)" in passed and "1 other files (d.nii.gz.txt)" in passed
    assert ("2 folders (x.nii/, z/)" in passed) is not deep


def test_suffixes_in_any_case() -> None:
    assert suffix_of("A.NII.GZ", (".nii", ".nii.gz", ".gz")) == ".nii.gz"
    assert stem("A.b.Nii", (".nii", ".nii.gz")) == "A.b" and stem("x", (".nii",)) == "x"


def test_links_are_followed_and_circles_noticed(tmp_path: Path) -> None:
    touch(tmp_path, "root/a/1.png", "root/a/deep/2.png", "elsewhere/3.png")
    (tmp_path / "root/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/a/deep/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/a/0").symlink_to("deep")
    (tmp_path / "root/a/gone").symlink_to("nowhere")
    (tmp_path / "root/a/self").symlink_to("self")
    listing = Listing(str(tmp_path / "root"), Files())
    names = [member.name for member in listing.members("", (".png",), deep=True)]
    assert names == ["a/1.png", "a/deep/2.png", "b/3.png"]
    passed = str(listing.passed_over)
    assert passed == "2 other files (a/gone, a/self), 2 links to what is read already (a/0/, a/deep/up/)"


@pytest.mark.parametrize("target", ["nowhere.nii", "a.nii"])
def test_a_link_that_leads_nowhere_is_one_item_that_cannot_be_read(
    tmp_path: Path, scratch: Scratch, target: str
) -> None:
    for folder in ("imagesTr", "labelsTr"):
        save_nifti(tmp_path / folder / "b.nii")
    (tmp_path / "imagesTr/a.nii").symlink_to(target)
    (tmp_path / "labelsTr/a.nii").symlink_to("b.nii")
    options = {"tile_size": (8,) * 3, "scratch": scratch}
    with pytest.raises(DataError, match=r"imagesTr/a\.nii: "):
        build_dataset("x", "basic_ct", tmp_path, **options)
    data = build_dataset("x", "basic_ct", tmp_path, on_error="skip", **options)
    assert [item.key for item in data.items] == ["b"] and "imagesTr/a.nii" in data.skipped[0].cause


def test_the_first_names_and_the_count_of_each_kind() -> None:
    passed = PassedOver()
    for number in range(9):
        passed.add(HIDDEN, f".{number}")
    passed.add("folders", "x/")
    assert len(passed) == 10 and str(passed) == "9 hidden (.0, .1, .2, ...), 1 folders (x/)"


def save_nifti(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name("plain.nii.gz" if path.name.lower().endswith("gz") else "plain.nii")
    nib.save(nib.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4)), plain)
    plain.rename(path)


def test_volumes_whatever_the_case_of_their_suffix(tmp_path: Path, scratch: Scratch) -> None:
    for name in ("a.nii.gz", "b.NII.GZ", "c.Nii"):
        save_nifti(tmp_path / "imagesTr" / name)
        save_nifti(tmp_path / "labelsTr" / (name[0] + name[1:].swapcase()))
    touch(tmp_path, "dataset.json", "imagesTs/a.nii.gz", "labelsTr/z.txt")
    save_nifti(tmp_path / "labelsTr/y.nii")
    source = BasicCT(tmp_path, scratch=scratch)
    items = source.items()
    assert [item.key for item in items] == ["a", "b", "c"]
    for item in items:
        assert source.shape(item) == (1, 8, 8, 8)
        sample = source.read(item)
        assert np.array_equal(sample.image[0], sample.label) and sample.label[7, 7, 7] == 511
    said = str(source.passed_over)
    for told in ("labels without an image (y.nii)", "imagesTs/", "dataset.json", "labelsTr/z.txt"):
        assert told in said


def encodable() -> list[str]:
    """Of each format that Pillow reads and writes for colours, one suffix."""
    found = {}
    for end, kind in Image.registered_extensions().items():
        if end in suffixes() and kind in Image.SAVE and kind != "IM":  # which will go
            found.setdefault(kind, end)
    return sorted(found.values())


def test_every_format_that_pillow_reads(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    written = []
    for end in encodable():
        try:
            Image.fromarray(PIXELS).save(tmp_path / f"cat/a{end}")
            written.append(end)
        except (OSError, ValueError, KeyError):
            (tmp_path / f"cat/a{end}").unlink(missing_ok=True)
    assert {".bmp", ".gif", ".webp"} <= set(written) and len(written) > 12
    source = ImageNet(tmp_path)
    assert len(source.items()) == len(written)
    for item in source.items():
        if item.key.endswith((".ico", ".icns")):
            continue  # sizes of their own
        assert source.shape(item) == source.read(item).image.shape == (3, 12, 10)


def test_no_other_program_is_started_for_an_image(tmp_path: Path) -> None:
    touch(tmp_path, "cat/b.eps", "cat/c.mpg")
    Image.fromarray(PIXELS).save(tmp_path / "cat/a.eps")
    (tmp_path / "cat/a.eps").rename(tmp_path / "cat/a.png")
    source = ImageNet(tmp_path)
    (item,) = source.items()
    assert "2 other files (cat/b.eps, cat/c.mpg)" in str(source.passed_over)
    with pytest.raises(DataError, match="EPS is not a pixel format"):
        source.read(item)


@pytest.mark.parametrize("end", [".gif", ".tif", ".webp", ".png"])
def test_files_of_several_images_are_refused(tmp_path: Path, end: str) -> None:
    (tmp_path / "cat").mkdir()
    one, two = Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)
    one.save(tmp_path / f"cat/a{end}", save_all=True, append_images=[two])
    source = ImageNet(tmp_path)
    with pytest.raises(DataError, match="it holds 2 images; expected one"):
        source.read(source.items()[0])


def test_images_in_folders_of_a_class_folder(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.png", "cat/site1/b.PNG", "dog/site1/x/c.png")
    touch(tmp_path, "dog/@eaDir/c.png", "d.png", "labels.csv")
    source = ImageNet(tmp_path)
    assert [(item.key, item.class_index) for item in source.items()] == [
        ("cat/a.png", 0),
        ("cat/site1/b.PNG", 0),
        ("dog/site1/x/c.png", 1),
    ]
    said = str(source.passed_over)
    assert "1 images in no class folder (d.png)" in said and "(labels.csv)" in said and "(dog/@eaDir)" in said


def test_parts_of_a_data_set_are_no_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/a.png", "train/dog/a.png", "Validation/cat/a.png")
    with pytest.raises(
        DataError, match=r"Validation, train: looks like a split of the data.*the root: .*/Validation"
    ):
        ImageNet(tmp_path).items()
    touch(tmp_path, "train/a.png", "Validation/b.png")
    assert len(ImageNet(tmp_path).items()) == 5


def test_order_of_classes_then_names(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a b/1.png", "a-b/1.png", "a/0/2.png")
    keys = [item.key for item in ImageNet(tmp_path).items()]
    assert keys == ["a/0/2.png", "a/1.png", "a b/1.png", "a-b/1.png"]


def test_fields_in_any_case(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    xarray = pytest.importorskip("xarray", reason="needs the extra netcdf")
    pytest.importorskip("zarr", reason="needs the extra zarr")
    values = xarray.Dataset({"t": (("time", "y", "x"), np.arange(32.0, dtype=np.float32).reshape(2, 4, 4))})
    values.to_netcdf(tmp_path / "a.NC")
    values.to_zarr(tmp_path / "b.zarr", zarr_format=2, consolidated=False)
    (tmp_path / "b.zarr").rename(tmp_path / "b.Zarr")
    np.savez(tmp_path / "c.npz", t=values.t.values)
    (tmp_path / "c.npz").rename(tmp_path / "c.NPZ")
    touch(tmp_path, "more/d.nc", "readme")
    source = Fields(tmp_path, scratch=Scratch(tmp_path_factory.mktemp("scratch")))
    names = ["a.NC", "b.Zarr", "c.NPZ"]
    assert [item.key for item in source.items()] == [f"{name}[{step}]" for name in names for step in (0, 1)]
    for item in source.items():
        assert np.array_equal(source.read(item).image[0], values.t.values[item.step])
    assert str(source.passed_over) == "1 other files (readme), 1 folders (more/)"


@pytest.mark.parametrize("source", [NpyPairs, Tiff])
def test_an_error_lists_the_files_of_other_kinds(tmp_path: Path, source: type) -> None:
    touch(tmp_path, "images/a.mat")
    with pytest.raises(DataError, match=r"images: no .* found; passed over: 1 other files \(images/a\.mat\)"):
        source(tmp_path)


def test_dicom_objects_that_are_no_images(tmp_path: Path, scratch: Scratch) -> None:
    pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
    from pydicom.uid import (
        BasicTextSRStorage,
        EncapsulatedPDFStorage,
        RTStructureSetStorage,
        SegmentationStorage,
    )

    from dicom_files import save_series

    volume = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
    save_series(tmp_path / "scan", volume)
    others = {"RTSTRUCT": RTStructureSetStorage, "SR": BasicTextSRStorage, "SEG": SegmentationStorage}
    for modality, kind in (others | {"DOC": EncapsulatedPDFStorage}).items():
        one = pydicom.dcmread(tmp_path / "scan/000.dcm")
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = kind
        one.Modality, one.NumberOfFrames = modality, 4
        if modality != "SEG":
            del one.Rows, one.Columns
        one.save_as(tmp_path / f"scan/{modality}.dcm")
    touch(tmp_path, "scan/notes.txt")
    (tmp_path / "scan/again").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "other")
    save_series(tmp_path / "other", volume + 1)
    shutil.rmtree(tmp_path / "linked", ignore_errors=True)
    source = Dicom(tmp_path, scratch=scratch)
    assert [item.key for item in source.items()] == ["other", "scan"]
    assert np.array_equal(source.read(source.items()[1]).image[0], volume)
    said = str(source.passed_over)
    told = ("RTSTRUCT: RT Structure Set", "SR: Basic Text SR", "SEG: Segmentation", "DOC: Encapsulated PDF")
    assert all(f"1 DICOM {one} (scan/" in said for one in told)
    assert "scan/notes.txt" in said and "links to what is read already (linked/, scan/again/)" in said


def test_a_pipe_among_dicom_files_is_not_waited_for(tmp_path: Path, scratch: Scratch) -> None:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from dicom_files import save_series

    save_series(tmp_path / "a", np.zeros((4, 4, 2), np.int16))
    os.mkfifo(tmp_path / "a/pipe")
    source = Dicom(tmp_path / "a", scratch=scratch)
    assert len(source.items()) == 1 and "1 other files (pipe)" in str(source.passed_over)


def test_a_data_set_describes_its_files(concrete: Path, tmp_path: Path, scratch: Scratch) -> None:
    shutil.copytree(concrete, tmp_path / "ct")
    first = sorted((tmp_path / "ct/labelsTr").iterdir())[0]
    first.rename(first.with_name("nobody.nii.gz"))
    options = {"tile_size": (8, 8, 8), "end": 0.5, "labels": False, "scratch": scratch}
    data = build_dataset("ct", "basic_ct", tmp_path / "ct", **options)
    name = first.name.removesuffix(".nii.gz")
    assert data.listed == (
        f"4 items, 1 without a label ({name}); 1 files passed over: 1 labels without an image (nobody.nii.gz)"
    )


@pytest.mark.parametrize("source", [BasicCT, NpyPairs])
def test_names_in_either_form_of_unicode_are_one_name(tmp_path: Path, source: type) -> None:
    folders, end = (("imagesTr", "labelsTr"), "nii") if source is BasicCT else (("images", "labels"), "npy")
    for folder, form in zip(folders, ("NFD", "NFC"), strict=True):
        touch(tmp_path, f"{folder}/{unicodedata.normalize(form, 'André')}.{end}")
    (item,) = source(tmp_path).items()
    assert item.key == unicodedata.normalize("NFC", "André") and item.label is not None
    assert Path(item.image).exists() and Path(item.label).exists()


def test_one_class_in_two_forms_of_unicode(tmp_path: Path) -> None:
    first, second = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    touch(tmp_path, f"{first}/a.png", f"{second}/b.png")
    source = ImageNet(tmp_path)
    assert source.class_names == (first,)
    assert [item.key for item in source.items()] == [f"{first}/a.png", f"{first}/b.png"]
    touch(tmp_path, f"{second}/a.png")
    with pytest.raises(DataError, match="one name in two forms of Unicode"):
        source.items()
