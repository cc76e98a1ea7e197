"""Damaged files of every source: a DataError or an array, within memory and time; never anything else."""

import multiprocessing
import resource
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from damaged import KINDS, damaged

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch

pytestmark = pytest.mark.deep

LIMIT = 2**20
GROWTH = 200 * 2**20
"""Bytes: what libraries allocate at their first use, not what a header says."""
TILES = dict.fromkeys(("imagenet", "catsdogs", "fields", "pairs"), (4, 4))
PLACES = {"csv": "cases.csv"}
"""Within the directory, where that is not the root."""


def test_every_source_is_damaged_here():
    assert {source for source, _, _ in KINDS.values()} == set(SOURCES)


def read_all(source: str, root: Path, scratch: Scratch, on_error: str) -> None:
    """As a run does: build the data set, then one epoch of tiles."""
    files = Files(Cache(scratch), max_item_bytes=LIMIT)
    data = build_dataset(
        *("d", source, root / PLACES.get(source, "")),
        tile_size=TILES.get(source, (4, 4, 4)),
        labels=source not in ("fields", "dicom", "files", "tiff"),
        normalization={"kind": "minmax"},
        on_error=on_error,
        scratch=scratch,
        files=files,
    )
    if len(data):
        list(Stream([data], batch_size=2, seed=0, on_error=on_error))


def strange(kind: str, folder: Path, count: int, seed: int) -> list[str]:
    """Returns errors other than DataError, by damage."""
    source, _, make = KINDS[kind]
    make(folder / "whole")
    rng, scratch = np.random.default_rng(seed), Scratch(folder / "scratch")
    read_all(source, folder / "whole", scratch, "fail")
    found = []
    for how, root in damaged(folder / "whole", folder / "work", rng, count):
        for on_error in ("fail", "skip"):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                with warnings.catch_warnings(action="ignore"):
                    read_all(source, root, scratch, on_error)
            except DataError as error:
                named = str(error).startswith((str(root), "d: ")) or on_error == "skip"
                if "\n" in str(error) or not named:
                    found.append(f"{how}: says only {error}")
            except BaseException:
                found.append(f"{how}: {traceback.format_exc()}")
            grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            if grown > GROWTH:
                found.append(f"{how}: {grown:,} bytes of memory")
    return found


def in_a_process(kind: str, folder: Path, count: int, seed: int) -> list[str]:
    """`strange` in a process of its own, which starts with a low mark of memory and may crash."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: theirs.send(strange(kind, folder, count, seed)))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(600) else ["it does not end"]
    except EOFError:
        return [f"the process ended with {process.exitcode}"]
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_a_data_error_or_harmless(tmp_path, kind):
    if KINDS[kind][1]:
        pytest.importorskip(KINDS[kind][1])
    assert in_a_process(kind, tmp_path, count=30, seed=0) == []
