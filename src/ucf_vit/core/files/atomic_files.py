"""Atomic, durable writing of files."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucf_vit.core.text import printable


def flush(path: Path) -> None:
    """Waits until a file, or the entries of a directory, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def usual_mode(path: Path) -> Iterator[None]:
    """Context in which a library writes the new file `path`, which gets the usual mode of new files.

    Some libraries write files that only the owner can read, whatever the umask.
    """
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    yield
    path.chmod(mode)


def clean_up(path: Path) -> None:
    """Removes temporary files of a `write_atomic` of `path` that was killed."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Context that adds the name of `path` to an OSError, which often names no file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # with a file name, the text of an error without a number is not shown
            error.filename = str(path)
        raise


@contextmanager
def replace_atomic(path: Path) -> Iterator[Path]:
    """Context that yields a temporary path to write to, and moves that file to `path` at the end.

    `path` is complete or unchanged. A missing directory is created. Raises OSError with the name of `path`.
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
    """Writes `content` to `path`, which is complete or unchanged; creates a missing directory.

    Raises OSError with the name of `path`.
    """
    with replace_atomic(path) as temporary:
        temporary.write_bytes(printable(content).encode() if isinstance(content, str) else content)
