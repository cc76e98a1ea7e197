"""Digests of files and names, the same on every machine (BLAKE2b)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ucf_vit.core.text import to_bytes


def file_digest(path: Path) -> str:
    """Returns the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def digest_of(parts: Iterable[str | bytes]) -> str:
    """Returns a digest of `parts` in their order; a text is hashed with a newline."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(part if isinstance(part, bytes) else to_bytes(f"{part}\n"))
    return hashed.hexdigest()
