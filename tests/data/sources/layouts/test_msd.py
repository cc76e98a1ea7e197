"""Tasks of the Medical Segmentation Decathlon: what dataset.json lists, 4D files, what else lies there."""

import json
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.layouts.msd import Msd

SHAPE = (4, 3, 5)
ABOUT = {
    "modality": {"0": "FLAIR", "1": "T1w", "10": "T2w", "2": "t1gd"},
    "labels": {"0": "background", "1": "edema"},
    "training": [
        {"image": f"./imagesTr/B_{case}.nii.gz", "label": f"./labelsTr/B_{case}.nii.gz"} for case in (2, 1)
    ],
    "test": ["./imagesTs/B_7.nii.gz"],
}


def voxels(case: int) -> np.ndarray:
    return np.random.default_rng(case).integers(0, 900, (*SHAPE, 4)).astype(np.int16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for case in (1, 2, 3):
        save_nifti(tmp_path / f"imagesTr/B_{case}.nii.gz", voxels(case))
        save_nifti(tmp_path / f"labelsTr/B_{case}.nii.gz", (voxels(case)[..., 0] > 400).astype(np.uint8))
        (tmp_path / f"imagesTr/._B_{case}.nii.gz").write_bytes(b"junk")
    (tmp_path / "dataset.json").write_text(json.dumps(ABOUT))
    return tmp_path


def test_listed_cases_and_channels_by_name(root: Path, scratch) -> None:
    source = Msd(root, scratch=scratch)
    items = source.items()
    assert [item.key for item in items] == ["B_1", "B_2"] and source.by_name
    assert source.variables == ("FLAIR", "T1w", "t1gd", "T2w")
    assert source.label_names == {0: "background", 1: "edema"}
    assert source.shape(items[0]) == (4, *SHAPE)
    assert np.array_equal(source.read(items[1]).image, np.moveaxis(voxels(2), -1, 0))
    two = Msd(root, ("T2w", "FLAIR"), scratch=scratch)
    region = (slice(1, 3), slice(0, 2), slice(2, 5))
    sample = two.read(items[0], region)
    assert np.array_equal(sample.image, np.moveaxis(voxels(1)[(*region, [3, 0])], -1, 0))
    assert np.array_equal(sample.label, (voxels(1)[..., 0] > 400)[region])
    assert np.allclose(two.geometry(items[0]).spacing, 1)


def test_what_is_not_listed_is_counted(root: Path, scratch) -> None:
    source = Msd(root, scratch=scratch)
    source.items()
    passed = str(source.passed_over)
    assert "1 test images without a label (imagesTs/B_7.nii.gz)" in passed
    assert "3 hidden (imagesTr/._B_1.nii.gz" in passed
    assert "2 files that dataset.json does not list (imagesTr/B_3.nii.gz, labelsTr/B_3.nii.gz)" in passed


def test_a_file_with_fewer_channels_is_an_error(root: Path, scratch) -> None:
    save_nifti(root / "imagesTr/B_1.nii.gz", voxels(1)[..., :3])
    source = Msd(root, scratch=scratch)
    with pytest.raises(DataError, match=r"B_1\.nii\.gz: has 3 channel\(s\), expected 4: FLAIR, T1w"):
        source.shape(source.items()[0])
    first = Msd(root, ("T1w",), scratch=scratch)
    assert first.shape(first.items()[0])[0] == 3


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (None, "its list of training cases can't be used"),
        ([], "lists no training case"),
        (["imagesTr/B_1.nii.gz"], "its list of training cases can't be used"),
    ],
)
def test_a_list_that_cannot_be_used(root: Path, training: object, message: str) -> None:
    about = {key: value for key, value in ABOUT.items() if key != "training"}
    (root / "dataset.json").write_text(
        json.dumps(about if training is None else {**about, "training": training})
    )
    with pytest.raises(DataError, match=rf"dataset\.json: {message}"):
        Msd(root).items()


def test_channels_of_one_name_stay_apart(root: Path) -> None:
    about = {**ABOUT, "modality": {"0": "MR", "1": "MR", "2": "CT"}}
    (root / "dataset.json").write_text(json.dumps(about))
    assert Msd(root).variables == ("MR", "MR_2", "CT")
