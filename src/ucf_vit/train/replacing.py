"""Directories that are complete or as they were before, whenever the process dies."""

from __future__ import annotations

import shutil
from pathlib import Path

from ucf_vit.core.durable import flush


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


def _previous(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")
