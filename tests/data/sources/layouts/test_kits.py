"""The layout of KiTS: a folder per case."""

from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources.layouts.kits import Kits


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "kits"
    for case in (0, 12, 3):
        volume = np.full((4, 3, 5), 10 * case, np.int16)
        save_nifti(root / f"case_{case:05d}/imaging.nii.gz", volume)
        save_nifti(root / f"case_{case:05d}/segmentation.nii.gz", np.ones((4, 3, 5), np.uint8))
    return root


def test_cases_are_items_and_groups(root: Path, scratch) -> None:
    (root / "case_00012/segmentation.nii.gz").rename(root / "case_00012/aggregated_MAND_seg.nii.gz")
    save_nifti(root / "case_00099/segmentation.nii.gz", np.ones((4, 3, 5), np.uint8))
    source = Kits(root, scratch=scratch)
    items = source.items()
    assert [item.key for item in items] == ["case_00000", "case_00003", "case_00012"]
    assert [item.group for item in items] == [item.key for item in items]
    assert items[2].label is None and source.read(items[1]).image.max() == 30
    passed = str(source.passed_over)
    assert "1 other files (case_00012/aggregated_MAND_seg.nii.gz)" in passed
    assert "1 labels without an image" in passed
    other = Kits(root, label="aggregated_MAND_seg", scratch=scratch)
    assert [item.label is not None for item in other.items()] == [False, False, True]


def test_values_are_windowed_unless_a_config_says_otherwise(root: Path, scratch) -> None:
    data = build_dataset("kits", "kits", root, tile_size=(4, 3, 5), num_classes=3, scratch=scratch)
    window = data.normalization
    assert (window.kind, window.low, window.high) == ("window", -79, 304)


def test_an_image_twice_and_none(root: Path, tmp_path: Path) -> None:
    save_nifti(root / "case_00003/imaging.nii", np.ones((4, 3, 5), np.int16))
    with pytest.raises(DataError, match=r"imaging\.nii.* and .*imaging\.nii are both of case_00003"):
        Kits(root).items()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no CASE/imaging\.nii\.gz found"):
        Kits(tmp_path / "empty").items()
