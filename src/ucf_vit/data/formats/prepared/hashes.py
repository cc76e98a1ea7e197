"""Hashes by which damaged files are detected."""

from __future__ import annotations

from pathlib import Path

from ucf_vit.core.files.atomic_files import flush
from ucf_vit.core.files.digests import file_digest


def flush_and_hash(folder: Path) -> dict[str, tuple[int, str]]:
    """Flushes all files below `folder` to disk; returns size and hash of each file by its path within."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            hashes[path.relative_to(folder).as_posix()] = path.stat().st_size, file_digest(path)
        flush(path)
    flush(folder)
    flush(folder.parent)
    return hashes
