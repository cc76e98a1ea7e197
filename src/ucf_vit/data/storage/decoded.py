"""Arrays from files that must be decoded as a whole: decoded once per machine, then memory-mapped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.storage.scratch import Scratch

ATTEMPTS = 3


def decode_once(
    decode: Callable[[], NDArray[Any]], size: int, scratch: Scratch, *key: object
) -> NDArray[Any]:
    """Returns the array that `decode()` returns, of about `size` bytes; `key` identifies the files' contents.

    It is a memory map of a scratch file, or the array itself where there is no room for one.
    """

    def make(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, decode(), allow_pickle=False)

    for _ in range(ATTEMPTS):
        path = scratch.file(make, size, ".npy", *key)
        if path is None:
            break
        with suppress(FileNotFoundError):  # another process may have needed the room
            return np.load(path, mmap_mode="r")
    return decode()
