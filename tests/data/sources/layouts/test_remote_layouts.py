"""Layouts behind a URL: the same items, shapes and values as from the local files."""

import json
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage import Cache, Files


def some_files(root: Path) -> None:
    noise = np.random.default_rng(0)
    for case in range(2):
        image = noise.integers(0, 99, (4, 5, 6, 2)).astype(np.int16)
        label = noise.integers(0, 3, (4, 5, 6)).astype(np.uint8)
        save_nifti(root / f"msd/imagesTr/c{case}.nii.gz", image)
        save_nifti(root / f"msd/labelsTr/c{case}.nii.gz", label)
        for channel in range(2):
            save_nifti(root / f"nnunet/imagesTr/c{case}_000{channel}.nii.gz", image[..., channel])
        save_nifti(root / f"nnunet/labelsTr/c{case}.nii.gz", label)
        save_nifti(root / f"kits/case_{case}/imaging.nii.gz", image[..., 0])
        save_nifti(root / f"kits/case_{case}/segmentation.nii.gz", label)
        for folder, pixels in (("images", image[..., 0, 0]), ("masks", label[..., 0])):
            (root / "pairs" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"pairs/{folder}/{case}.png")
    names, cases = {"0": "a", "1": "b"}, [{"image": "./imagesTr/c0.nii.gz", "label": "./labelsTr/c0.nii.gz"}]
    (root / "msd/dataset.json").write_text(json.dumps({"modality": names, "training": cases}))
    (root / "nnunet/dataset.json").write_text(json.dumps({"channel_names": names, "file_ending": ".nii.gz"}))
    folds = [{"train": ["c0"], "val": ["c1"]}]
    (root / "nnunet/splits_final.json").write_text(json.dumps(folds))
    (root / "cases.csv").write_text(
        "image,label\nkits/case_0/imaging.nii.gz,kits/case_0/segmentation.nii.gz\n"
    )


@pytest.mark.parametrize(
    ("kind", "root", "options"),
    [
        ("nnunet_raw", "nnunet", {"fold": 0}),
        ("msd", "msd", {"variables": ("b",)}),
        ("kits", "kits", {}),
        ("pairs", "pairs", {}),
        ("csv", "cases.csv", {}),
    ],
)
def test_the_same_behind_a_url(tmp_path: Path, scratch, kind: str, root: str, options: dict) -> None:
    import fsspec

    some_files(tmp_path / "data")
    url = f"memory://{tmp_path.name}/{kind}"
    fsspec.filesystem("memory").put(str(tmp_path / "data"), url, recursive=True)
    local = SOURCES[kind](str(tmp_path / "data" / root), scratch=scratch, **options)
    remote = SOURCES[kind](f"{url}/{root}", scratch=scratch, files=Files(Cache(scratch)), **options)
    pairs = list(zip(local.items(), remote.items(), strict=True))
    assert pairs
    for here, there in pairs:
        assert (here.key, here.group, here.split) == (there.key, there.group, there.split)
        assert all(part.startswith(url) for part in remote.parts(there))
        assert local.shape(here) == remote.shape(there)
        one, other = local.read(here), remote.read(there)
        assert np.array_equal(one.image, other.image) and np.array_equal(one.label, other.label)
