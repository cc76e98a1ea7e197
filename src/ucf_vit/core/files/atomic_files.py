"""Files that are on the disk when they are said to be, whenever the process dies."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucf_vit.core.text import printable


def flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def usual_mode(path: Path) -> Iterator[None]:
    """A context in which a library writes the new file `path`, which then has the mode of all new files.

    Some libraries write files that only the owner can read; umask and the directory say who may.
    """
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    yield
    path.chmod(mode)


def clean_up(path: Path) -> None:
    """Remove what a kill in `write_atomic` of `path` has left."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        left.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Context in which `path` is written: an OSError, which often names no file, names it."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # with a file name, the text of an error without a number is not shown
            error.filename = str(path)
        raise


@contextmanager
def replace_atomic(path: Path) -> Iterator[Path]:
    """Context that yields a temporary path to write to, and moves that file to `path` at the end.

    `path` is complete or as it was before. A missing directory is made. Raises OSError with the name of
    `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes `content` to `path`, which is complete or as it was before; makes a missing directory.

    Raises OSError with the name of `path`.
    """
    with replace_atomic(path) as temporary:
        temporary.write_bytes(printable(content).encode() if isinstance(content, str) else content)
