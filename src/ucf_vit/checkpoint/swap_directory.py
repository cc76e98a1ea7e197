"""Atomic replacement of directories: complete or unchanged, whenever the process dies."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from ucf_vit.core.files.atomic_files import flush

_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<state>[0-9a-f]{8}\.tmp|gone|old)")
"""Names that a killed process may leave behind: directories being written or removed, and former ones."""


def make_aside(directory: Path) -> Path:
    """Creates an empty directory beside `directory`, for the contents that will replace it."""
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    aside.mkdir(parents=True)
    return aside


def replace(directory: Path, aside: Path, keep: Path | None = None) -> None:
    """Replaces `directory` by `aside`, whose files are flushed; the former one is renamed to `keep`."""
    previous = keep or old_path(directory)
    if directory.exists():
        remove(previous)
        directory.rename(previous)
    aside.rename(directory)
    flush(directory.parent)
    if keep is None:
        shutil.rmtree(previous, ignore_errors=True)


def remove(directory: Path) -> None:
    """Removes a directory; a kill in between leaves no incomplete one under its name."""
    gone = directory.with_name(f".{directory.name.lstrip('.')}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    if directory.exists():
        directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def old_path(directory: Path) -> Path:
    """Returns the path of the former `directory` between the two renames of `replace`."""
    return directory.with_name(f".{directory.name}.old")


def finish(parent: Path, is_own: Callable[[str], bool]) -> None:
    """Finishes what a killed process left undone of directories in `parent` whose names `is_own` accepts.

    Only the process that writes to `parent` may call it.
    """
    for path in list(parent.iterdir()):
        match = _LEFT.fullmatch(path.name)
        if match is None or not is_own(match["name"]) or not path.is_dir():
            continue
        directory = path.with_name(match["name"])
        if match["state"] == "old" and not directory.exists():
            path.rename(directory)
        else:
            shutil.rmtree(path, ignore_errors=True)
