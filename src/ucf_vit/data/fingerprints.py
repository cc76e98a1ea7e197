"""Fingerprints of items, 8 bytes each: hashes of path, contents and name.

The hash of the contents covers the size of a file and some blocks of it, so large files are not read whole.
Equal files have equal hashes, wherever they are. Different files have different hashes unless they have the
same size and differ only between the blocks that are read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.core.text import to_bytes
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.storage import Files

PLACE, CONTENTS, NAME = range(3)
BLOCK, SMALL = 2**12, 2**15
VARIED, BLOCKS = 3, 64
"""Blocks are read until this many are not constant (as air around an object is), at most `BLOCKS`."""
READERS = 4
"""Number of threads; they read while the training runs."""


def fingerprints(dataset: Dataset, stopped: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
    """Returns hashes `[N, 3]` of each item's path, contents (0: unknown) and name.

    No further file is opened once `stopped` returns true.
    """

    def look(file: str) -> bytes:
        return b"" if stopped() else contents(file, dataset.files)

    files = list(dict.fromkeys(item.image for item in dataset.items))
    known = dict(zip(files, map_in_threads(look, files, READERS), strict=True))
    folders: dict[str, str] = {}
    rows = np.zeros((len(dataset.items), 3), np.int64)
    for row, item in zip(rows, dataset.items, strict=True):
        step = str(item.step).encode()
        content = known[item.image]
        row[PLACE] = _hash(to_bytes(real_place(item.image, folders)), step)
        row[CONTENTS] = _hash(content, step) if content else 0
        row[NAME] = name_hash(item.key)
    return rows


def contents(path: str, files: Files) -> bytes:
    """Returns bytes that identify the contents of a file: size and blocks; of a remote file size and version.

    Empty where finding out would take more reading, as for a directory of chunks.
    """
    if is_remote(path):
        try:
            return ",".join(map(str, files.stamp(path))).encode()
        except (DataError, OSError):
            return b""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return b""
    try:
        about = os.fstat(file)
        return _sampled(file, about.st_size) if stat.S_ISREG(about.st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)


def _sampled(file: int, size: int) -> bytes:
    """Returns a hash of the size and of blocks spread over a file, or of all of a small file."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    if size <= SMALL:
        digest.update(os.pread(file, size, 0))
        return digest.digest()
    varied = 0
    for number in range(BLOCKS):
        block = os.pread(file, BLOCK, _start(number, size))
        digest.update(block)
        varied += block[: BLOCK // 2] != block[BLOCK // 2 :]
        if varied == VARIED:
            break
    return digest.digest()


def _start(number: int, size: int) -> int:
    """Returns the first byte of block `number`: at 1/2, 1/4, 3/4, 1/8, ... of the possible range."""
    place, part = 0.0, 0.5
    number += 1
    while number:
        place += part * (number & 1)
        number, part = number >> 1, part / 2
    return int(place * max(0, size - BLOCK))


def real_place(path: str, folders: dict[str, str]) -> str:
    """Returns the real path of a file; the real path of its folder is cached in `folders`."""
    if is_remote(path):
        return path
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)  # noqa: PTH118


def _hash(*parts: bytes) -> int:
    """Returns a hash of 8 bytes that is never 0."""
    digest = hashlib.blake2b(b"\0".join(parts), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1


def name_hash(name: str) -> int:
    """Returns a hash of 8 bytes of the name of an item."""
    return _hash(to_bytes(name))


def among(rows: NDArray[np.int64], others: NDArray[np.int64], column: int) -> NDArray[np.bool_]:
    """Returns a mask `[N]` of the `rows` `[N, 3]` whose hash in `column` occurs in `others`; unknown ones do
    not.
    """
    return (rows[:, column] != 0) & np.isin(rows[:, column], others[:, column])


def joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Returns the distinct rows `[N, K]` of several arrays; of items that are there twice the fuller row.

    Items are distinct by the first three columns.
    """
    rows = np.unique(np.concatenate(list(parts)), axis=0) if parts else np.zeros((0, 3), np.int64)
    order = np.argsort((rows[:, 3:] == 0).sum(1), kind="stable")
    _, first = np.unique(rows[order, :3], axis=0, return_index=True)
    return rows[order][first]
