"""Memory of this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_here() -> int | None:
    """Returns the bytes of memory of this machine, or of its container if that is less; None if unknown."""
    known: list[int] = []
    with suppress(AttributeError, ValueError, OSError):
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError):
        known.append(int(CGROUP.read_text()))
    return min(known, default=None)
