"""Tables of files: columns, paths, splits, and what is wrong with a row."""

from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.layouts.table import Table


def volume(number: int) -> np.ndarray:
    return np.full((3, 4, 5), number, np.int16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(4):
        save_nifti(tmp_path / f"scans/{number}.nii.gz", volume(number))
    return tmp_path


def table(root: Path, text: str, name: str = "cases.csv", encoding: str = "utf-8") -> Path:
    (root / name).write_text(text, encoding=encoding)
    return root / name


def test_files_groups_and_splits(root: Path, scratch) -> None:
    rows = f"""image,age,label,group,split
scans/0.nii.gz,71,scans/1.nii.gz,anna,Train
{root}/scans/2.nii.gz,,,bob,val
scans/3.nii.gz,,scans/1.nii.gz,anna,
"""
    source = Table(table(root, rows, encoding="utf-8-sig"), ("ct",), scratch=scratch)
    items = source.items()
    assert [item.group for item in items] == ["anna", "bob", "anna"]
    assert [item.split for item in items] == ["training", "validation", ""]
    assert items[1].label is None and items[0].key == "scans/0.nii.gz"
    assert source.shape(items[1]) == (1, 3, 4, 5)
    assert source.read(items[2]).image.max() == 3 and source.read(items[2]).label.max() == 1


def test_a_file_per_variable_and_tabs(root: Path, scratch) -> None:
    path = table(root, "image\nscans/2.nii.gz; scans/0.nii.gz\n", "cases.tsv")
    source = Table(path, ("a", "b"), scratch=scratch)
    (item,) = source.items()
    assert source.read(item).image[:, 0, 0, 0].tolist() == [2, 0]
    assert len(source.parts(item)) == 2
    with pytest.raises(
        DataError, match=r"cases\.tsv, row 2: names 2 files, expected 3, one for each of a, b"
    ):
        Table(path, ("a", "b", "c"), scratch=scratch).items()


def test_pictures(root: Path, scratch) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3), np.uint8)
    Image.fromarray(pixels).save(root / "a.png")
    Image.fromarray(pixels[..., 0] % 2).save(root / "m.png")
    source = Table(table(root, "image,label\na.png,m.png\n"), ("r", "g", "b"), scratch=scratch)
    sample = source.read(source.items()[0], (slice(1, 3), slice(0, 5)))
    assert np.array_equal(sample.image, np.moveaxis(pixels[1:3], -1, 0))
    assert np.array_equal(sample.label, pixels[1:3, :, 0] % 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images,label\na,b\n", r"cases\.csv: has no column image; it has images, label"),
        ("image,labels\nx.nii,b\n", "has a column 'labels' and none called label; rename it"),
        ("image\n", "has no rows"),
        ("image,label\nx.nii,a,b\n", "row 2: more cells than the 2 columns"),
        ("image,image\nx.nii,y.nii\n", "a column is there twice"),
        ("image,split\nx.nii,training\ny.nii,tset\n", r"row 3: split 'tset' \(did you mean 'test'\?\)"),
        ("image\nx.nii\nx.nii\n", "row 3: x.nii is there twice"),
        ("image\nx.nii\nscans/../x.nii\n", r"row 3: scans/\.\./x.nii is there twice"),
        ("image,split\n\n,\nx.nii,train\n\n , \ny.nii,tset\n", r"row 7: split 'tset'"),
        ("\n\nimage\n\nx.doc\n", r"row 5: image 'x\.doc' can't be read"),
        ("image;label\nx.nii;y.nii\n", "no column image; it has image;label; commas are expected between"),
        ("image\nx.doc\n", r"row 2: image 'x\.doc' can't be read; known are \.nii"),
        ("image\nx.nii\n;\n", "row 3: no image is named"),
    ],
)
def test_what_is_wrong_names_the_row(root: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Table(table(root, text)).items()


def test_encodings_of_spreadsheets(root: Path) -> None:
    rows = "image,group\nscans/0.nii.gz,Müller\n"
    (item,) = Table(table(root, rows, encoding="utf-16")).items()
    assert item.group == "Müller"
    with pytest.raises(DataError, match="can't be read as a table; save it as CSV in UTF-8"):
        Table(table(root, rows, encoding="latin-1"))


def test_a_root_that_is_no_table(root: Path) -> None:
    with pytest.raises(DataError, match=r"expected a table, a \.csv or \.tsv file, as the root"):
        Table(root)
