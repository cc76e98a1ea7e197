"""Small NIfTI data sets, written once per test."""

from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.data.storage.scratch import Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch")


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    """Six volumes of different shapes, float32, .nii.gz and .nii mixed, uint8 labels with classes 0 to 2.

    Voxel (x, y, z) of volume i is 10^4 i + 400 x + 20 y + z, so that a tile says where it comes from.
    """
    root = tmp_path / "ct"
    for i, shape in enumerate([(12, 9, 8), (8, 8, 8), (16, 8, 11), (9, 13, 8), (10, 10, 10), (8, 9, 17)]):
        x, y, z = np.indices(shape)
        image = (10_000 * i + 400 * x + 20 * y + z).astype(np.float32)
        suffix = ".nii.gz" if i % 2 else ".nii"
        save_nifti(root / "imagesTr" / f"v{i}{suffix}", image)
        save_nifti(
            root / "labelsTr" / f"v{i}{'.nii' if i % 3 else '.nii.gz'}", ((x + y + z) % 3).astype(np.uint8)
        )
    return root
