"""Listing and reading of local files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.data.storage.failures import MissingError
from ucf_vit.data.storage.store import Entry


def local_entries(root: str) -> list[Entry]:
    """Returns the entries of a local directory.

    Links to directories are directories; broken and circular links are files.
    """
    try:
        with os.scandir(root) as entries:
            return [Entry(entry.name, _is_folder(entry)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{root}: no such directory") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{root}: can't be listed ({error})") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def read_start(path: Path, count: int) -> bytes:
    """Returns the first `count` bytes of a file, or all of a shorter one."""
    with path.open("rb") as stream:
        return stream.read(count)


def read_parts(path: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """Returns bytes `start` to `stop` of each part. Raises ValueError where the file ends before."""
    contents = []
    with Path(path).open("rb", buffering=0) as file:
        for start, stop in parts:
            file.seek(start)
            contents.append(file.read(stop - start))
            if len(contents[-1]) != stop - start:
                raise ValueError(f"it ends before byte {stop}")
    return contents
