"""Directories that are complete or as they were before, whenever the process dies."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from ucf_vit.core.files.atomic_files import flush

_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<state>[0-9a-f]{8}\.tmp|gone|old)")
"""Names that a kill may leave behind: what was being written or removed, and what was there before."""


def make_aside(directory: Path) -> Path:
    """An empty directory beside `directory`, to write in what will take its place."""
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    aside.mkdir(parents=True)
    return aside


def replace(directory: Path, aside: Path, keep: Path | None = None) -> None:
    """Put `aside`, whose files are flushed, in the place of `directory`; what was there goes to `keep`."""
    previous = keep or old_of(directory)
    if directory.exists():
        remove(previous)
        directory.rename(previous)
    aside.rename(directory)
    flush(directory.parent)
    if keep is None:
        shutil.rmtree(previous, ignore_errors=True)


def remove(directory: Path) -> None:
    """Remove a directory, so that a kill leaves nothing that is half there under its name."""
    gone = directory.with_name(f".{directory.name.lstrip('.')}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if directory.exists():
        directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def old_of(directory: Path) -> Path:
    """Where what was at `directory` is for the moment between the two renames of `replace`."""
    return directory.with_name(f".{directory.name}.old")


def finish(parent: Path, is_own: Callable[[str], bool]) -> None:
    """Finish what a kill left undone of the directories below `parent` that have names of one's own.

    Only the process that writes there may call it.
    """
    for path in list(parent.iterdir()):
        found = _LEFT.fullmatch(path.name)
        if found is None or not is_own(found["name"]) or not path.is_dir():
            continue
        directory = path.with_name(found["name"])
        if found["state"] == "old" and not directory.exists():
            path.rename(directory)
        else:
            shutil.rmtree(path, ignore_errors=True)
