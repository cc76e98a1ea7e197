"""Check of file names."""

from __future__ import annotations

LONGEST = 200
"""Largest length in bytes: file systems allow 255, and names get suffixes."""


def is_file_name(name: str) -> bool:
    """Returns whether `name` is a valid name of a visible file or directory, and not a path."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST and name[0] != "." and "/" not in name and name.isprintable()
