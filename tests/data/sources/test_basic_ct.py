"""The source of NIfTI volumes: which files belong together, and what is refused."""

import nibabel
import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources import BasicCT

VOLUME = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
LABEL = (VOLUME > 50).astype(np.uint8)


def test_labels_are_found_by_name_also_with_another_suffix(tmp_path, scratch):
    for name, image, label in [
        ("a", ".nii", ".nii.gz"),
        ("b", ".nii.gz", ".nii"),
        ("c", ".nii.gz", ".nii.gz"),
    ]:
        save_nifti(tmp_path / "imagesTr" / f"{name}{image}", VOLUME)
        save_nifti(tmp_path / "labelsTr" / f"{name}{label}", LABEL)
    source = BasicCT(tmp_path, scratch=scratch)
    assert [item.key for item in source.items()] == ["a", "b", "c"]
    for item in source.items():
        sample = source.read(item)
        assert np.array_equal(sample.image[0], VOLUME)
        assert np.array_equal(sample.label, LABEL)
        assert source.shape(item) == (1, 4, 5, 6)


def test_hidden_and_other_files_are_passed_over(tmp_path, scratch):
    save_nifti(tmp_path / "imagesTr" / "a.nii", VOLUME)
    for name in ("._a.nii", ".hidden.nii.gz", "notes.txt", "a.json"):
        (tmp_path / "imagesTr" / name).write_text("x")
    assert [item.key for item in BasicCT(tmp_path, scratch=scratch).items()] == ["a"]


def test_without_a_label_folder_there_are_no_labels(tmp_path, scratch):
    save_nifti(tmp_path / "imagesTr" / "a.nii", VOLUME)
    source = BasicCT(tmp_path, scratch=scratch)
    assert source.items()[0].label is None
    assert source.read(source.items()[0]).label is None


def test_the_same_name_twice_is_refused(tmp_path, scratch):
    for suffix in (".nii", ".nii.gz"):
        save_nifti(tmp_path / "imagesTr" / f"a{suffix}", VOLUME)
    with pytest.raises(DataError, match=r"a\.nii\.gz and .*a\.nii are both item 'a'"):
        BasicCT(tmp_path, scratch=scratch).items()


def test_a_label_of_another_shape_is_refused(tmp_path, scratch):
    save_nifti(tmp_path / "imagesTr" / "a.nii", VOLUME)
    save_nifti(tmp_path / "labelsTr" / "a.nii", LABEL[:-1])
    source = BasicCT(tmp_path, scratch=scratch)
    with pytest.raises(DataError, match=r"labelsTr/a\.nii: shape \(3, 5, 6\) .* \(4, 5, 6\)"):
        source.shape(source.items()[0])


@pytest.mark.parametrize("folder", ["", "imagesTr"])
def test_nothing_there_names_the_folder(tmp_path, scratch, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(DataError, match="imagesTr: no"):
        BasicCT(tmp_path, scratch=scratch).items()


def test_channels(tmp_path, scratch):
    array = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    save_nifti(tmp_path / "imagesTr" / "a.nii.gz", array)
    source = BasicCT(tmp_path, ("t1", "t2", "flair"), scratch)
    item = source.items()[0]
    assert source.shape(item) == (3, 4, 5, 6)
    sample = source.read(item, (slice(1, 3),) * 3, (2,))
    assert sample.variables == ("flair",)
    assert np.array_equal(sample.image, array[1:3, 1:3, 1:3, 2][None])
    with pytest.raises(DataError, match=r"a\.nii\.gz: has 3 channel\(s\), expected 4"):
        BasicCT(tmp_path, ("t1", "t2", "flair", "pd"), scratch).shape(item)


def test_real_volumes(shared_data, scratch):
    source = BasicCT(shared_data / "msd_hippocampus", scratch=scratch)
    items = source.items()
    assert len(items) == 50 and all(item.label for item in items)
    assert len({source.shape(item) for item in items}) > 10
    for item in items[:5]:
        sample = source.read(item)
        assert np.array_equal(sample.image[0], nibabel.load(item.image).get_fdata())
        assert np.array_equal(sample.label, nibabel.load(item.label).get_fdata())
        assert set(np.unique(sample.label)) == {0, 1, 2}
