"""Check of the memory, disk space and time that volumes take, before any is made."""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from math import prod
from pathlib import Path

from rich.filesize import decimal

from ucf_vit.core.errors import UserError
from ucf_vit.core.memory import memory_here
from ucf_vit.synthetic.grid import Size

log = logging.getLogger(__name__)

LONGEST = 2**15 - 1
"""Largest number of voxels along an axis of a NIfTI-1 file."""
BYTES_PER_VOXEL = 25
"""Memory per voxel while a volume is made."""
BYTES_PER_PROCESS = 10**8
"""Memory of a process without volumes."""
SECONDS_PER_VOXEL = 1e-6
"""Time per voxel to make a volume."""


def check_resources(root: Path, number: int, size: Size, compressed: bool, processes: int) -> None:
    """Raises UserError if volumes do not fit a file, memory or disk; logs a warning if they take long."""
    shape, voxels = "x".join(map(str, size)), prod(size)
    if max(size) > LONGEST:
        raise UserError(f"size {shape}: an axis of a NIfTI file has at most {LONGEST} voxels")
    memory, available = processes * (BYTES_PER_PROCESS + BYTES_PER_VOXEL * voxels), memory_here()
    if available is not None and memory > available:
        raise UserError(
            f"size {shape}, {processes} at a time: takes {decimal(memory)} of memory, there is "
            f"{decimal(available)}; make smaller volumes, or fewer at a time"
        )
    new = number - sum(1 for _ in (root / "imagesTr").iterdir())
    disk, free = new * voxels * (1 if compressed else 3), shutil.disk_usage(root).free
    if disk > free:
        raise UserError(
            f"{root}: {new} volumes of {shape} take {decimal(disk)} or more, {decimal(free)} are free there; "
            "make fewer or smaller ones"
        )
    if (seconds := new * voxels * SECONDS_PER_VOXEL / processes) > 60:
        log.warning("this takes about %s, more on a busy machine", timedelta(seconds=round(seconds)))
