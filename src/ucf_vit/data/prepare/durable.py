"""Files that are on the disk when they are said to be, and what tells whether they are as they were."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, content: bytes) -> None:
    """A file that is whole or not there, whenever the process dies."""
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_bytes(content)
    flush(aside)
    aside.replace(path)
    flush(path.parent)


def digest(path: Path) -> str:
    """BLAKE2b of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def settle(folder: Path) -> dict[str, tuple[int, str]]:
    """Wait until all below `folder` is on the disk; size and hash of each file by its path within."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.stat().st_size, digest(path)
        flush(path)
    flush(folder)
    flush(folder.parent)
    return found
