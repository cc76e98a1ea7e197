"""Raw data sets of nnU-Net: channels in files of their own, folds, regions, test cases, what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources.layouts.nnunet_raw import NnunetRaw

SHAPE = (5, 4, 3)
ABOUT = {
    "channel_names": {"0": "FLAIR", "1": "T1"},
    "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
    "regions_class_order": [1, 2, 3],
    "file_ending": ".nii.gz",
}


def voxels(case: int, channel: int) -> np.ndarray:
    return (np.arange(60).reshape(SHAPE) + 1000 * case + 100 * channel).astype(np.int16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "Dataset001_Brain"
    for case in range(4):
        for channel in range(2):
            save_nifti(root / f"imagesTr/brain_{case}_{channel:04d}.nii.gz", voxels(case, channel))
        save_nifti(root / f"labelsTr/brain_{case}.nii.gz", (voxels(0, 0) % 4).astype(np.uint8))
    (root / "dataset.json").write_text(json.dumps(ABOUT))
    folds = [{"train": ["brain_0", "brain_2"], "val": ["brain_1"]}, {"train": ["brain_9"], "val": []}]
    (root / "splits_final.json").write_text(json.dumps(folds))
    return root


def test_channels_by_name_in_any_order(root: Path, scratch) -> None:
    both = NnunetRaw(root, scratch=scratch)
    assert both.variables == ("FLAIR", "T1")
    item = both.items()[2]
    assert item.key == "brain_2" and both.shape(item) == (2, *SHAPE)
    assert [Path(path).name for path in both.parts(item)] == [
        "brain_2_0000.nii.gz",
        "brain_2_0001.nii.gz",
        "brain_2.nii.gz",
    ]
    region = (slice(1, 4), slice(0, 4), slice(2, 3))
    sample = both.read(item, region, channels=(1, 0))
    assert np.array_equal(sample.image, np.stack([voxels(2, 1)[region], voxels(2, 0)[region]]))
    assert sample.variables == ("T1", "FLAIR")
    swapped = NnunetRaw(root, ("T1", "FLAIR"), scratch=scratch)
    assert np.array_equal(swapped.read(swapped.items()[2]).image[0], voxels(2, 1))
    one = NnunetRaw(root, ("T1",), scratch=scratch)
    assert one.shape(one.items()[0]) == (1, *SHAPE)
    assert np.array_equal(one.read(one.items()[3]).image, voxels(3, 1)[None])
    with pytest.raises(DataError, match=r"dataset\.json: no channel 'FLAIRE' \(did you mean 'FLAIR'\?\)"):
        NnunetRaw(root, ("FLAIRE",))


def test_tiles_through_a_worker_process_made_anew(root: Path, scratch) -> None:
    options = {"tile_size": SHAPE, "num_classes": 4, "scratch": scratch}
    data = build_dataset("brain", "nnunet_raw", root, variables=["T1"], options={"fold": 0}, **options)
    again = data.__class__.__new__(data.__class__)
    again.__setstate__(data.__getstate__())
    sample = again.source.read(data.items[1], channels=data.channels)
    assert np.array_equal(sample.image, voxels(int(data.items[1].key[-1]), 1)[None])


def test_the_fold_gives_the_splits(root: Path, scratch) -> None:
    source = NnunetRaw(root, fold=0, scratch=scratch)
    splits = {item.key: item.split for item in source.items()}
    assert splits == {"brain_0": "training", "brain_1": "validation", "brain_2": "training"}
    assert "1 cases that are in neither part of the fold (brain_3)" in str(source.passed_over)
    with pytest.raises(DataError, match=r"splits_final\.json: has folds 0 to 1, not 2"):
        NnunetRaw(root, fold=2).items()
    with pytest.raises(DataError, match=r"1 case\(s\) of fold 1 are not in imagesTr: brain_9"):
        NnunetRaw(root, fold=1).items()
    with pytest.raises(DataError, match=r"nowhere\.json: not found, and fold 0 was requested; copy it from"):
        NnunetRaw(root, fold=0, splits=str(root / "nowhere.json")).items()
    both = [{"train": ["brain_0", "brain_1"], "val": ["brain_1"]}]
    (root / "splits_final.json").write_text(json.dumps(both))
    with pytest.raises(DataError, match="fold 0 trains and validates brain_1"):
        NnunetRaw(root, fold=0).items()
    with pytest.raises(DataError, match=r"Dataset001_Brain: fold is 'all'; expected a number from 0 to 0"):
        NnunetRaw(root, fold="all").items()
    (root / "splits_final.json").write_text('{"train": [], "val": []}')
    with pytest.raises(DataError, match=r"splits_final\.json: expected a list of folds"):
        NnunetRaw(root, fold=0).items()


def test_names_of_labels_and_regions(root: Path, scratch) -> None:
    source = NnunetRaw(root, scratch=scratch)
    assert source.label_names == {0: "background", 1: "whole", 2: "core", 3: "enhancing", 4: "ignore"}
    assert source.remarks() == (
        "label 4 is called 'ignore': set data.ignore_label: 4 so that it does not count",
    )
    (root / "dataset.json").write_text(json.dumps({**ABOUT, "numTraining": 5}))
    core = NnunetRaw(root, region="core", scratch=scratch)
    item = core.items()[0]
    assert core.remarks()[1].endswith("dataset.json: numTraining is 5, but there are 4 training cases")
    assert np.array_equal(core.read(item).label, voxels(0, 0) % 4 >= 2)
    assert core.label_names == {0: "background", 1: "core"}
    with pytest.raises(DataError, match=r"no label or region 'cores' \(did you mean 'core'\?\)"):
        NnunetRaw(root, region="cores")


def test_all_cases_without_a_channel_are_named_together(root: Path) -> None:
    (root / "imagesTr/brain_1_0001.nii.gz").unlink()
    (root / "imagesTr/brain_3_0000.nii.gz").unlink()
    message = r"2 files of channels are missing in 4 cases: brain_1_0001\.nii\.gz \(T1\), brain_3_0000"
    with pytest.raises(DataError, match=message):
        NnunetRaw(root).items()
    assert len(NnunetRaw(root, ("T1",)).about.channels) == 2
    with pytest.raises(DataError, match=r"1 files of channels are missing.*brain_1_0001"):
        NnunetRaw(root, ("T1",)).items()


def test_a_channel_of_another_shape_is_an_error_with_its_file(root: Path, scratch) -> None:
    save_nifti(root / "imagesTr/brain_1_0001.nii.gz", np.ones((5, 4, 4), np.int16))
    source = NnunetRaw(root, scratch=scratch)
    with pytest.raises(DataError, match=r"brain_1_0001\.nii\.gz: shape \(5, 4, 4\) is not that of the image"):
        source.shape(source.items()[1])


def test_files_that_belong_to_no_case_are_counted(root: Path, scratch) -> None:
    save_nifti(root / "imagesTr/brain_0_0002.nii.gz", voxels(0, 0))
    save_nifti(root / "imagesTr/brain.nii.gz", voxels(0, 0))
    save_nifti(root / "labelsTr/brain_7.nii.gz", voxels(0, 0))
    for case in (8, 9):
        for channel in range(2):
            save_nifti(root / f"imagesTs/brain_{case}_{channel:04d}.nii.gz", voxels(case, channel))
    save_nifti(root / "labelsTs/brain_9.nii.gz", voxels(0, 0))
    source = NnunetRaw(root, scratch=scratch)
    items = source.items()
    assert [(item.key, item.split) for item in items[3:]] == [("brain_3", ""), ("brain_9", "test")]
    passed = str(source.passed_over)
    assert "1 files of channels that dataset.json does not name (imagesTr/brain_0_0002.nii.gz)" in passed
    assert "1 other files (imagesTr/brain.nii.gz)" in passed
    assert "1 labels without an image (labelsTr/brain_7)" in passed
    assert "1 test images without a label (imagesTs/brain_8)" in passed


@pytest.mark.parametrize("colour", [True, False])
def test_photographs_in_one_file_or_a_file_per_channel(tmp_path: Path, scratch, colour: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3), np.uint8)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    if colour:
        Image.fromarray(pixels).save(tmp_path / "imagesTr/road_0000.png")
    for channel in range(0 if colour else 3):
        Image.fromarray(pixels[..., channel]).save(tmp_path / f"imagesTr/road_{channel:04d}.png")
    Image.fromarray(pixels[..., 0] % 2).save(tmp_path / "labelsTr/road.png")
    about = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"no": 0, "yes": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps({**about, "file_ending": ".png"}))
    for names in (("R", "G", "B"), ("B",), ("R",), ("G", "R")):
        source = NnunetRaw(tmp_path, names, scratch=scratch)
        item = source.items()[0]
        assert source.shape(item)[1:] == (6, 5)
        expected = pixels[..., ["RGB".index(name) for name in names]]
        assert np.array_equal(source.read(item).image, np.moveaxis(expected, -1, 0))
    assert np.array_equal(source.read(item).label, pixels[..., 0] % 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"dataset\.json: not found; expected it to name the channels and labels"),
        ("{", r"dataset\.json: can't be read as a dataset\.json"),
        ("{}", "has neither channel_names nor modality"),
        ('{"channel_names": {"0": "T1", "5": "T2"}}', r"channels have the numbers 0, 5; expected 0 to 1"),
        ('{"channel_names": {"0": "T1"}, "labels": ["a"]}', r"labels is \['a'\]; expected numbers by name"),
        (
            '{"channel_names": {"0": "CT"}, "file_ending": ".xyz"}',
            r"file_ending '\.xyz' can't be read; known",
        ),
    ],
)
def test_what_is_wrong_with_dataset_json(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=message):
        NnunetRaw(tmp_path)
