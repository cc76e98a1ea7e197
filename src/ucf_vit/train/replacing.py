"""Directories that are complete or as they were before, whenever the process dies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def aside_of(directory: Path) -> Path:
    """Where what will be `directory` is written first."""
    return directory.with_name(f".{directory.name}.tmp")


def replace(directory: Path, aside: Path, keep: Path | None = None) -> None:
    """Put `aside`, whose files are flushed, in the place of `directory`; what was there goes to `keep`."""
    finish_replacing(directory)
    previous = _previous(directory)
    shutil.rmtree(previous, ignore_errors=True)
    if directory.exists():
        directory.rename(previous)
    aside.rename(directory)
    flush(directory.parent)
    if keep is not None and previous.exists():
        remove(keep)
        previous.rename(keep)
    shutil.rmtree(previous, ignore_errors=True)


def finish_replacing(directory: Path) -> None:
    """Take back what a kill between the two renames of `replace` left under another name."""
    if not directory.exists() and _previous(directory).is_dir():
        _previous(directory).rename(directory)


def remove(directory: Path) -> None:
    """Remove a directory, so that a kill leaves nothing that is half there under its name."""
    gone = directory.with_name(f".{directory.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if directory.exists():
        directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _previous(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")
