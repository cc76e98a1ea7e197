"""Unreadable files: named, or skipped and counted; never a sample that was made up. Workers that die."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.loader.workers import _termination_waits
from ucf_vit.data.sources import BasicCT


def truncate(path, share=0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def random_volume(path, shape=(16, 16, 16), dtype=np.float32) -> None:
    save_nifti(path, np.random.default_rng(0).integers(0, 1000, shape).astype(dtype))


def nan(path) -> None:
    save_nifti(path, np.full((16, 16, 16), np.nan, np.float32))


BAD = {
    "truncated gz": (
        "v1.nii.gz",
        lambda path: (random_volume(path), truncate(path)),
        "end-of-stream|Compressed file",
    ),
    "truncated nii": (
        "v2.nii",
        lambda path: (random_volume(path), truncate(path)),
        "its header says 16,736",
    ),
    "nan": ("v1.nii.gz", nan, "channel 0 holds NaN"),
}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "ct"
    for i in range(6):
        suffix = ".nii.gz" if i % 2 else ".nii"
        volume = np.full((16, 16, 16), i, np.float32)
        volume[:, 0] = 100
        save_nifti(root / "imagesTr" / f"v{i}{suffix}", volume)
        save_nifti(root / "labelsTr" / f"v{i}{suffix}", np.full((16, 16, 16), i % 3, np.uint8))
    return root


def build(root, scratch, **options) -> Dataset:
    common = {"tile_size": (8, 8, 8), "num_classes": 3, "normalization": {"kind": "none"}, "scratch": scratch}
    return build_dataset("ct", "basic_ct", root, **common, **options)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("workers", [0, 1])
def test_fail_names_the_file_and_the_cause(root, scratch, kind, workers):
    name, damage, cause = BAD[kind]
    damage(root / "imagesTr" / name)
    with pytest.raises(DataError, match=rf"(?s){name}.*({cause})") as caught:
        list(Stream([build(root, scratch)], batch_size=3, seed=0, num_workers=workers))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_skip_puts_the_next_readable_tile_in_the_place(root, scratch, kind):
    name, damage, _ = BAD[kind]
    damage(root / "imagesTr" / name)
    data = build(root, scratch)
    runs = []
    for workers in (0, 2):
        stream = Stream([data], batch_size=4, seed=0, on_error="skip", num_workers=workers)
        batches = list(stream)
        assert [len(batch) for batch in batches] == [4] * 12
        assert len(stream.skipped) == 1 and name in stream.skipped[0].file
        assert {s.file for batch in batches for s in batch.skipped} == {stream.skipped[0].file}
        for batch in batches:
            for image, label, file in zip(batch.image, batch.label, batch.files, strict=True):
                number = int(Path(file).name[1])
                assert name not in file
                assert set(image.unique().tolist()) <= {number, 100.0}
                assert label.unique().tolist() == [number % 3]
        runs.append([(batch.files, batch.keys.tolist()) for batch in batches])
    assert runs[0] == runs[1]


def test_ranks_stay_in_step_and_see_different_tiles(root, scratch):
    nan(root / "imagesTr" / "v1.nii.gz")
    ranks = [
        Stream([build(root, scratch)], batch_size=2, seed=0, rank=r, ranks=3, on_error="skip")
        for r in range(3)
    ]
    for shares in zip(*ranks, strict=True):
        assert [len(share) for share in shares] == [2, 2, 2]
        assert len({key for share in shares for key in share.keys.tolist()}) == 6


def test_held_out_tiles_of_a_bad_file_are_left_out_not_replaced(root, scratch):
    nan(root / "imagesTr" / "v1.nii.gz")
    stream = Stream([build(root, scratch)], batch_size=3, seed=0, shuffle=False, on_error="skip")
    files = [file for batch in stream for file in batch.files]
    assert len(files) == 40 and not any("v1" in file for file in files)


def test_too_many_bad_files_abort(root, scratch):
    for name in ("v1.nii.gz", "v2.nii", "v3.nii.gz"):
        nan(root / "imagesTr" / name)
    data = build(root, scratch)
    assert len(Stream([data], batch_size=4, seed=0, on_error="skip", max_errors=3)) == 12
    list(Stream([data], batch_size=4, seed=0, on_error="skip", max_errors=3))
    with pytest.raises(DataError, match=r"3 unreadable files, more than data.max_errors = 2: .*v\d"):
        list(Stream([data], batch_size=4, seed=0, on_error="skip", max_errors=2))


def test_bad_headers_count_too(root, scratch):
    (root / "imagesTr" / "v2.nii").write_bytes(b"")
    data = build(root, scratch, on_error="skip")
    stream = Stream([data], batch_size=4, seed=0, on_error="skip")
    assert [skip.file for skip in stream.skipped] == [str(root / "imagesTr" / "v2.nii")]
    with pytest.raises(DataError, match=r"1 unreadable files, more than data\.max_errors = 0"):
        Stream([data], batch_size=4, seed=0, on_error="skip", max_errors=0)


def test_no_readable_file_at_all_is_an_error_not_an_endless_search(root, scratch):
    for path in (root / "imagesTr").iterdir():
        nan(path)
    with pytest.raises(DataError, match=r"no readable item is left .*NaN"):
        list(Stream([build(root, scratch)], batch_size=4, seed=0, on_error="skip", max_errors=99))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_label_outside_the_classes_names_the_file_and_the_values(root, scratch, workers):
    bad = np.zeros((16, 16, 16), np.uint8)
    bad[-1, -1, -1] = 7
    save_nifti(root / "labelsTr" / "v3.nii.gz", bad)
    with pytest.raises(DataError, match=r"^\S+labelsTr/v3\.nii\.gz: label value\(s\) 7 outside \[0, 3\)"):
        list(Stream([build(root, scratch)], batch_size=4, seed=0, num_workers=workers))
    mapped = build(root, scratch, label_mapping={7: 1})
    assert sum(len(batch) for batch in Stream([mapped], batch_size=4, seed=0)) == 48


def test_a_cut_label_names_the_label(root, scratch):
    random_volume(root / "labelsTr" / "v3.nii.gz", dtype=np.uint8)
    truncate(root / "labelsTr" / "v3.nii.gz")
    with pytest.raises(DataError, match=r"^\S+labelsTr/v3\.nii\.gz: .*Compressed file ended"):
        list(Stream([build(root, scratch)], batch_size=4, seed=0))


@pytest.mark.parametrize("tile", [8, 16])
def test_a_file_that_changed_since_its_header_was_read_is_an_error(root, scratch, tile):
    data = build_dataset("ct", "basic_ct", root, tile_size=(tile,) * 3, labels=False, scratch=scratch)
    save_nifti(root / "imagesTr" / "v2.nii", np.zeros((16, 16, 7), np.float32))
    with pytest.raises(DataError, match=r"v2\.nii: read an image .* by the header expected"):
        list(Stream([data], batch_size=4, seed=0))
    with pytest.raises(DataError, match=r"v2\.nii: read an image .* by the header expected"):
        list(volumes([data]))


def test_whole_items_are_skipped_or_refused(root, scratch):
    nan(root / "imagesTr" / "v1.nii.gz")
    data = build(root, scratch)
    with pytest.raises(DataError, match=r"v1\.nii\.gz: channel 0 holds NaN"):
        list(volumes([data]))
    batches = list(volumes([data], on_error="skip"))
    assert len(batches) == 5
    assert [len(batch.skipped) for batch in batches] == [0, 1, 0, 0, 0]


class Deadly(BasicCT):
    """Kills the process that reads the fourth volume."""

    def read(self, item, region=None, channels=None):
        if item.key == "v3":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(item, region, channels)


def test_a_worker_that_dies_is_reported(root, scratch):
    data = build(root, scratch)
    object.__setattr__(data, "source", Deadly(root, scratch=scratch))
    object.__setattr__(data, "origin", None)
    place = r"unexpectedly at tile \d+ of .*/v3\.nii.*, often for lack of memory"
    with pytest.raises(DataError, match=place):
        list(Stream([data], batch_size=4, seed=0, num_workers=1))


class Wrong(BasicCT):
    """Has a programming error."""

    def read(self, item, region=None, channels=None):
        raise TypeError("a bug in a source")


def test_a_bug_in_a_source_is_reported_with_its_line(root, scratch):
    """Any exception may come of a damaged file, so that none can be told from a bug."""
    data = build(root, scratch)
    object.__setattr__(data, "source", Wrong(root, scratch=scratch))
    object.__setattr__(data, "origin", None)
    told = r"TypeError: a bug in a source; raised in test_stream_errors\.py, line \d+"
    for workers in (0, 1):
        for on_error in ("fail", "skip"):
            with pytest.raises(DataError, match=told):
                list(Stream([data], batch_size=4, seed=0, on_error=on_error, num_workers=workers))


def test_a_process_that_just_starts_leaves_signals_to_the_main_process() -> None:
    """A scheduler's SIGTERM to all processes of a job may come at any moment."""
    with _termination_waits():
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.2,))
        process.start()
        os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == 0
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_tile_is_read_without_the_rest_of_its_file(root, scratch, monkeypatch):
    data = build(root, scratch, labels=False)
    regions = []
    read = type(data.source).read

    def noted(self, item, region=None, channels=None):
        regions.append(region)
        return read(self, item, region, channels)

    monkeypatch.setattr(type(data.source), "read", noted)
    list(Stream([data], batch_size=3, seed=0))
    assert len(regions) == len(data) and None not in regions
