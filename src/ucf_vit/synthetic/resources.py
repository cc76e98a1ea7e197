"""Memory, disk and time that volumes take, asked before any is made."""

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
"""Voxels along an axis of a NIfTI-1 file."""
BYTES_AT_WORK = 25
"""Memory for each voxel of a volume that is being made."""
PROCESS = 10**8
"""Memory of a process beside that."""
SECONDS = 1e-6
"""Time for each voxel of a volume that is being made."""


def check_resources(root: Path, number: int, size: Size, compressed: bool, processes: int) -> None:
    """UserError where the volumes have no room in a file, in memory or on the disk; long times are told."""
    shape, voxels = "x".join(map(str, size)), prod(size)
    if max(size) > LONGEST:
        raise UserError(f"size {shape}: an axis of a NIfTI file has at most {LONGEST} voxels")
    memory, have = processes * (PROCESS + BYTES_AT_WORK * voxels), memory_here()
    if have is not None and memory > have:
        raise UserError(
            f"size {shape}, {processes} at a time: takes {decimal(memory)} of memory, there is "
            f"{decimal(have)}; make smaller volumes, or fewer at a time"
        )
    new = number - sum(1 for _ in (root / "imagesTr").iterdir())
    disk, free = new * voxels * (1 if compressed else 3), shutil.disk_usage(root).free
    if disk > free:
        raise UserError(
            f"{root}: {new} volumes of {shape} take {decimal(disk)} or more, {decimal(free)} are free there; "
            "make fewer or smaller ones"
        )
    if (seconds := new * voxels * SECONDS / processes) > 60:
        log.warning("this takes about %s, more on a busy machine", timedelta(seconds=round(seconds)))
