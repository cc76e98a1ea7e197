"""Arrays whose files have to be decoded as a whole: once per machine, then through a memory map."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.storage.scratch import Scratch

ATTEMPTS = 3


def decoded(decode: Callable[[], NDArray[Any]], size: int, scratch: Scratch, *key: object) -> NDArray[Any]:
    """What `decode()` gives, about `size` bytes; `key` names the present content of its files.

    A memory map of a scratch file, or the array itself where there is no room for one.
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
