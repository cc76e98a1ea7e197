"""BIDS data sets, through pybids: subjects, sessions, channels by suffix, masks among derivatives."""

import json
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources.layouts.bids import Bids

pytest.importorskip("bids", reason="needs the extra bids")
pytestmark = pytest.mark.filterwarnings("ignore")


def volume(number: int) -> np.ndarray:
    return np.full((3, 4, 5), number, np.int16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    about = {"Name": "lesions", "BIDSVersion": "1.8.0"}
    tmp_path.joinpath("dataset_description.json").write_text(json.dumps(about))
    manual = tmp_path / "derivatives/manual"
    manual.mkdir(parents=True)
    about |= {"DatasetType": "derivative", "GeneratedBy": [{"Name": "manual"}]}
    (manual / "dataset_description.json").write_text(json.dumps(about))
    for subject, session in ((1, 1), (1, 2), (2, 1)):
        name = f"sub-{subject:02d}_ses-{session}"
        place = f"sub-{subject:02d}/ses-{session}/anat"
        number = 10 * subject + session
        save_nifti(tmp_path / place / f"{name}_T1w.nii.gz", volume(number))
        save_nifti(tmp_path / place / f"{name}_FLAIR.nii.gz", volume(100 + number))
        if session == 1:
            save_nifti(manual / place / f"{name}_desc-manual_label-lesion_mask.nii.gz", volume(1))
            save_nifti(manual / place / f"{name}_desc-brain_mask.nii.gz", volume(2))
    return tmp_path


def test_a_channel_per_suffix_the_subject_as_group_and_the_chosen_mask(root: Path, scratch) -> None:
    options = {"label_entities": {"label": "lesion"}, "scratch": scratch}
    source = Bids(root, ("FLAIR", "T1w"), **options)
    items = source.items()
    assert [item.key for item in items] == ["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"]
    assert [item.group for item in items] == ["sub-01", "sub-01", "sub-02"]
    assert [item.label is None for item in items] == [False, True, False]
    assert source.shape(items[2]) == (2, 3, 4, 5)
    sample = source.read(items[2])
    assert sample.image[:, 0, 0, 0].tolist() == [121, 21] and sample.label.max() == 1
    named = Bids(root, ("mr",), suffixes=["T1w"], label_entities={"desc": "brain"}, scratch=scratch)
    sample = named.read(named.items()[0])
    assert sample.image.max() == 11 and sample.label.max() == 2


def test_what_is_missing_or_ambiguous_is_named(root: Path, scratch) -> None:
    with pytest.raises(DataError, match=r"sub-01_ses-1 has 2 masks: .*label_entities"):
        Bids(root, ("T1w",), scratch=scratch).items()
    for mask in root.rglob("*desc-brain_mask.nii.gz"):
        mask.unlink()
    (root / "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 of 3 cases lack an image: sub-01_ses-2 \(FLAIR\)"):
        Bids(root, ("T1w", "FLAIR"), scratch=scratch).items()
    with pytest.raises(DataError, match="no image with the suffix T2w found"):
        Bids(root, ("T2w",), scratch=scratch).items()
    save_nifti(root / "sub-02/ses-1/anat/sub-02_ses-1_acq-fast_T1w.nii.gz", volume(1))
    with pytest.raises(DataError, match="are both the T1w of sub-02_ses-1; choose by the option entities"):
        Bids(root, ("T1w",), scratch=scratch).items()


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image with the suffix T1w found"):
        Bids(tmp_path).items()
    with pytest.raises(DataError, match="2 suffixes"):
        Bids(tmp_path, ("a", "b", "c"), suffixes=["T1w", "T2w"])
    with pytest.raises(DataError, match="indexed in a local directory"):
        Bids("s3://bucket/data")
