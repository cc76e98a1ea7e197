"""What is not read at all: more than memory holds, and what is no file."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path

from ucf_vit.core.errors import DataError

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def check_size(path: str, size: int, limit: int) -> None:
    """DataError where the header of `path` says `size` bytes, more than `limit`: before any are allocated."""
    if size > limit:
        raise DataError(
            f"{path}: its header says {size:,} bytes, more than {limit:,}; if that is right, raise "
            f"data.max_item_bytes to {size} or more"
        )


def check_plain(path: str | Path) -> None:
    """DataError for what is neither file nor directory: to read a pipe or a device may never end.

    A URL is left alone, and a path where nothing is.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116, for every tile
    except (OSError, ValueError):  # also of a URL
        return
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise DataError(f"{path}: {kind}, expected a file")


@cache
def memory() -> int:
    """Bytes of memory of this machine, or of the control group that it is shared out by."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUPS:
        with suppress(OSError, ValueError):
            found.append(int(Path(file).read_text()))
    return min(found)
