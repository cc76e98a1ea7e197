"""Limits on what is read: arrays must fit into memory, paths must be plain files."""

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
    """Raises DataError where the header of `path` announces more than `limit` bytes.

    It is called before any of them are allocated.
    """
    if size > limit:
        raise DataError(
            f"{path}: its header says {size:,} bytes, more than {limit:,}; if that is right, raise "
            f"data.max_item_bytes to {size} or more"
        )


def check_plain(path: str | Path) -> None:
    """Raises DataError for a pipe, device or socket, which may never end when it is read.

    URLs and paths that do not exist are accepted.
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
    """Returns the memory of this machine in bytes, or the limit of the process's control group."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUPS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))
    return min(limits)
