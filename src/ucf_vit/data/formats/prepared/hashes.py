"""What tells whether files are as they were written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ucf_vit.core.atomic_files import flush


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
