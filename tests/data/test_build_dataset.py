"""From options to a data set: ranges, channels, and refusals before anything is read."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset, select
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.sources import Item


def items_of(sizes: dict[str, int]) -> list[Item]:
    return [Item(f"{name}{i:03}", "", stratum=name) for name, size in sizes.items() for i in range(size)]


fractions = st.floats(0, 1)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 60), min_size=1),
    st.tuples(fractions, fractions, fractions),
)
def test_ranges_that_touch_never_meet_and_lose_nothing(sizes, cuts):
    first, second, third = sorted(cuts)
    items = items_of(sizes)
    parts = [select(items, a, b) for a, b in [(0, first), (first, second), (second, third), (third, 1)]]
    keys = [item.key for part in parts for item in part]
    assert sorted(keys) == sorted(item.key for item in items)
    assert len(set(keys)) == len(keys)


def test_a_range_is_int_of_start_times_n_to_int_of_end_times_n():
    assert [item.key for item in select(items_of({"a": 10}), 0.25, 0.77)] == [f"a{i:03}" for i in range(2, 7)]
    with pytest.raises(DataError, match="0 <= start <= end <= 1"):
        select(items_of({"a": 3}), 0.6, 0.5)


def build(ct, scratch, **options):
    return build_dataset("ct", "basic_ct", ct, **{"tile_size": (8, 8, 8), "scratch": scratch, **options})


def test_tiles_of_volumes_of_different_shapes_are_numbered_through(ct, scratch):
    data = build(ct, scratch, overlap=0.5, use_all=True)
    assert data.counts.tolist() == [2 * 2, 1, 3 * 2, 2 * 3, 2**3, 2 * 4]
    assert len(data) == data.counts.sum() == 33
    places = [data.locate(tile) for tile in range(len(data))]
    assert places == [(i, k) for i, n in enumerate(data.counts) for k in range(n)]


def test_a_tile_of_two_entries_cuts_slices(ct, scratch):
    data = build(ct, scratch, tile_size=(8, 8))
    assert data.slices
    assert data.counts.tolist() == [8, 8, 2 * 11, 8, 10, 17]


@pytest.mark.parametrize("tile_size", [(8,), (8, 8, 8, 8)])
def test_other_tiles_are_refused(ct, scratch, tile_size):
    with pytest.raises(DataError, match="the data has 3 axes"):
        build(ct, scratch, tile_size=tile_size)


def test_small_images_are_refused_by_name_or_padded_with_a_note(ct, scratch, caplog):
    with pytest.raises(DataError, match=r"v0\.nii: shape \(12, 9, 8\) is smaller than the tile \(9, 9, 9\)"):
        build(ct, scratch, tile_size=(9, 9, 9), small_images="refuse")
    with caplog.at_level(logging.INFO, "ucf_vit"):
        assert len(build(ct, scratch, tile_size=(9, 9, 9))) == 6
    assert len(caplog.records) == 1
    assert "5 of 6 images are smaller" in caplog.text


def test_labels_are_required_or_not_read(ct, scratch):
    for number in (1, 4):
        next((ct / "labelsTr").glob(f"v{number}.*")).unlink()
    with pytest.raises(DataError, match=r"no label for 2 of 6 items: .*v1\.nii\.gz, .*v4\.nii"):
        build(ct, scratch)
    assert all(item.label is None for item in build(ct, scratch, labels=False).items)


def test_items_without_a_label_are_left_out_and_named_under_skip(ct, scratch, caplog):
    label = next((ct / "labelsTr").glob("v4.*"))
    label.unlink()
    with pytest.raises(DataError, match=r"no label for 1 of 6 .*data\.on_error=skip leaves them out"):
        build(ct, scratch)
    data = build(ct, scratch, on_error="skip")
    assert len(data.items) == 5 and all("v4." not in item.image for item in data.items)
    assert [one.cause for one in data.skipped] == [f"{ct}/imagesTr/v4.nii: no label"]
    for one in (ct / "labelsTr").iterdir():
        one.unlink()
    with pytest.raises(DataError, match=r"no label for 6 of 6 items[^;]*$"):
        build(ct, scratch, on_error="skip")


def test_held_out_items_that_have_no_header_are_named(ct, scratch, caplog):
    (ct / "imagesTr/v4.nii").write_bytes(b"")
    next((ct / "labelsTr").glob("v5.*")).unlink()
    data = build(ct, scratch, start=0.5, on_error="skip")
    for ranks in (1, 2):
        caplog.clear()
        told = []
        options = {"ranks": ranks, "on_error": "skip", "on_skip": told.append}
        batches = [list(volumes([data], rank=rank, **options)) for rank in range(ranks)]
        assert tuple(told) == data.skipped
        assert [one.skipped for one in batches[0]] == [data.skipped] and not any(batches[1:])
        assert [record.args[0] for record in caplog.records] == [one.cause for one in data.skipped]
        assert "v5.nii" in caplog.text and "v4.nii: " in caplog.text


def test_a_data_set_of_which_nothing_can_be_read_is_an_error(ct, scratch):
    for one in (ct / "imagesTr").iterdir():
        one.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 6 items can be read; the first error: .*v0\.nii"):
        build(ct, scratch, on_error="skip")
    assert not build(ct, scratch, start=1, on_error="skip").items


def test_only_the_labels_of_the_range_are_required(ct, scratch):
    next((ct / "labelsTr").glob("v5.*")).unlink()
    assert len(build(ct, scratch, end=0.9).items) == 5


@pytest.fixture
def channels(tmp_path):
    root = tmp_path / "mr"
    save_nifti(root / "imagesTr" / "a.nii", np.random.default_rng(0).random((8, 8, 8, 3)).astype(np.float32))
    return root


def test_the_first_channels_are_used(channels, scratch):
    options = {"labels": False, "variables": ["t1", "t2", "flair"], "channels_available": 3}
    assert build(channels, scratch, **options).variables == ("t1", "t2", "flair")
    data = build(channels, scratch, channels_used=2, **options)
    assert (data.variables, data.channels) == (("t1", "t2"), (0, 1))
    with pytest.raises(DataError, match="4 channels to be used of 3"):
        build(channels, scratch, channels_used=4, **options)


def test_another_number_of_channels_names_the_file(channels, scratch):
    with pytest.raises(DataError, match=r"a\.nii: has 3 channel\(s\), num_channels_available says 4"):
        build(channels, scratch, labels=False, channels_available=4)
    with pytest.raises(DataError, match=r"a\.nii: has 3 channel\(s\), expected 4"):
        build(channels, scratch, labels=False, variables=list("abcd"))


def test_images_have_the_variables_of_their_source(tmp_path, scratch):
    from PIL import Image

    (tmp_path / "images" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "cat" / "a.png")

    def images(**options):
        return build_dataset(
            "x", "imagenet", tmp_path / "images", tile_size=(8, 8), scratch=scratch, **options
        )

    assert images().variables == ("red", "green", "blue")
    assert images(variables=["r", "g", "b"], channels_used=1).variables == ("r",)
    with pytest.raises(DataError, match=r"1 classes found .cat.*num_classes is 0"):
        images(num_classes=0)


def test_mean_and_std_have_to_fit_the_channels(channels, scratch):
    normalization = {"kind": "mean_std", "mean": [0.0, 1.0], "std": [1.0, 1.0], "low": 0.5, "high": 99.5}
    with pytest.raises(DataError, match="2 means for the variables a, b, c"):
        build(channels, scratch, labels=False, variables=list("abc"), normalization=normalization)
    build(channels, scratch, labels=False, variables=list("ab"), normalization=normalization)


def test_an_unreadable_header_fails_or_is_skipped(ct, scratch):
    (ct / "imagesTr" / "v0.nii").write_bytes(b"")
    with pytest.raises(DataError, match=r"v0\.nii: no readable NIfTI header"):
        build(ct, scratch)
    data = build(ct, scratch, on_error="skip")
    assert len(data.items) == 5
    assert "v0.nii" in data.skipped[0].file and "it ends after 0 bytes" in data.skipped[0].cause


def test_all_files_that_do_not_fit_are_named_in_one_message(tmp_path, scratch):
    for number in range(4):
        channels = (2,) if number in (1, 3) else ()
        save_nifti(tmp_path / f"imagesTr/v{number}.nii", np.ones((8, 8, 8, *channels), np.float32))
        side = 8 if number in (1, 3) else 7
        save_nifti(tmp_path / f"labelsTr/v{number}.nii", np.ones((8, 8, side), np.uint8))
    options = {"tile_size": (8, 8, 8), "scratch": scratch}
    with pytest.raises(DataError, match=r"labelsTr/v0\.nii: shape .*; 1 more item\(s\) .*imagesTr/v2\.nii"):
        build_dataset("x", "basic_ct", tmp_path, **options)
    message = r"v1\.nii: has 2 channel\(s\), num_channels_available says 1; 1 more file\(s\) .*v3\.nii"
    with pytest.raises(DataError, match=message):
        build_dataset("x", "basic_ct", tmp_path, channels_available=1, on_error="skip", **options)


def test_files_of_unequal_channels_are_refused_and_unnamed_channels_told(tmp_path, scratch, caplog):
    caplog.set_level("INFO")
    for number in range(3):
        channels = (2,) if number == 1 else (3,)
        save_nifti(tmp_path / f"imagesTr/v{number}.nii", np.ones((8, 8, 8, *channels), np.float32))
    options = {"tile_size": (8, 8, 8), "scratch": scratch, "labels": False}
    message = r"x: files have different numbers of channels: 2 in \S*v1\.nii, 3 in \S*v2\.nii; move those"
    with pytest.raises(DataError, match=message):
        build_dataset("x", "basic_ct", tmp_path, variables=["t1"], **options)
    (tmp_path / "imagesTr/v1.nii").unlink()
    build_dataset("x", "basic_ct", tmp_path, variables=["t1"], **options)
    assert "x: files have 3 channels, and names only for the first: t1" in caplog.text
