"""Names of files."""

from __future__ import annotations

LONGEST = 200
"""Bytes; file systems have 255, and names get endings."""


def is_file_name(name: str) -> bool:
    """Whether `name` is that of one visible file or directory, and no path."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST and name[0] != "." and "/" not in name and name.isprintable()
