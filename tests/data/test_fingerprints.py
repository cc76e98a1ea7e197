"""Items are known again by place, contents and name, without reading whole files."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import (
    CONTENTS,
    NAME,
    PLACE,
    SMALL,
    among,
    contents,
    fingerprints,
    joined,
)
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch

FILES = Files()


def arrays(root: Path, *names: str, seed: int = 0) -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed)
    for name in names:
        np.save(root / f"images/{name}.npy", noise.random((16, 16), np.float32))
    return root


def dataset(root: Path, source: str = "npy_pairs", **options: Any) -> Dataset:
    tile = options.pop("tile_size", (16, 16))
    return build_dataset("a", source, root, tile_size=tile, labels=False, scratch=Scratch(), **options)


def test_a_copy_elsewhere_has_the_contents_and_a_link_the_place(tmp_path: Path) -> None:
    rows = fingerprints(dataset(arrays(tmp_path / "a", "x", "y", "z")))
    assert len(np.unique(rows[:, CONTENTS])) == len(np.unique(rows[:, PLACE])) == 3
    (tmp_path / "b/images").mkdir(parents=True)
    shutil.copy(tmp_path / "a/images/y.npy", tmp_path / "b/images/other.npy")
    copied = fingerprints(dataset(tmp_path / "b"))
    assert copied[0, CONTENTS] == rows[1, CONTENTS]
    assert copied[0, PLACE] not in rows[:, PLACE] and copied[0, NAME] not in rows[:, NAME]
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert np.array_equal(fingerprints(dataset(tmp_path / "link")), rows)
    changed = fingerprints(dataset(arrays(tmp_path / "a", "x", "y", "z", seed=1)))
    assert np.array_equal(changed[:, [PLACE, NAME]], rows[:, [PLACE, NAME]])
    assert not among(changed, rows, CONTENTS).any()


def test_a_relative_path_is_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = fingerprints(dataset(arrays(tmp_path / "a", "x")))
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(fingerprints(dataset(Path("a"))), rows)


def test_time_steps_of_a_file_differ(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", heat=np.random.default_rng(0).random((4, 16, 16)))
    rows = fingerprints(dataset(tmp_path, "fields", variables=["heat"]))
    assert all(len(np.unique(rows[:, column])) == 4 for column in (PLACE, CONTENTS, NAME))


@settings(max_examples=60)
@given(size=st.integers(0, SMALL - 1), seed=st.integers(0, 10**6), place=st.floats(0, 1, exclude_max=True))
def test_small_files_differ_in_every_byte(size: int, seed: int, place: float) -> None:
    values = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(values.tobytes())
        before = contents(str(path), FILES)
        assert before == contents(str(path), FILES) and before
        path.write_bytes(values.tobytes() + b"x")
        assert contents(str(path), FILES) != before
        if size:
            values[int(place * size)] ^= 1
            path.write_bytes(values.tobytes())
            assert contents(str(path), FILES) != before


@pytest.mark.parametrize("suffix", [".raw", ".gz"])
def test_volumes_in_air_differ_though_most_of_them_is_the_same(tmp_path: Path, suffix: str) -> None:
    """A small object in a large volume of one value, whose beginning, middle and end are equal."""
    found = set()
    for number in range(20):
        noise = np.random.default_rng(number)
        volume = np.full((64, 64, 64), -1000, np.int16)
        volume[8:24, 10:30, 12:40] = noise.integers(-200, 200, (16, 20, 28))
        raw = volume.tobytes()
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(raw if suffix == ".raw" else gzip.compress(raw, mtime=0))
        found.add(contents(str(path), FILES))
    assert len(found) == 20


def test_unreadable_contents_are_unknown_and_never_equal(tmp_path: Path) -> None:
    (tmp_path / "folder.zarr").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder.zarr", "pipe", "missing", "nul\0byte"):
        assert contents(str(tmp_path / name), FILES) == b""
    unknown = np.array([[1, 0, 2]], np.int64)
    assert not among(unknown, unknown, CONTENTS).any() and among(unknown, unknown, PLACE).all()


def test_nothing_is_read_once_it_is_stopped(tmp_path: Path) -> None:
    rows = fingerprints(dataset(arrays(tmp_path, "x", "y")), stopped=lambda: True)
    assert not rows[:, CONTENTS].any() and rows[:, PLACE].all()


def test_rows_are_joined_each_once() -> None:
    a, b = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[4, 5, 6], [7, 8, 9]])
    assert joined([a, b]).tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert joined([]).shape == (0, 3)
