"""A place reached through fsspec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from ucf_vit.core.errors import DataError
from ucf_vit.data.storage.paths import bare, checked, scheme


@dataclass(frozen=True)
class Entry:
    """A file, or a `folder`, as a listing shows it."""

    name: str
    folder: bool
    size: int
    version: str


class Remote:
    """Files behind a URL."""

    def __init__(self, url: str) -> None:
        self._files: Any = fsspec.filesystem(scheme(checked(url)))

    def entries(self, root: str) -> list[Entry]:
        """What lies directly below `root`. Raises DataError."""
        try:
            found = self._files.ls(root, detail=True)
        except FileNotFoundError:
            raise DataError(f"{bare(root)}: no such directory") from None
        return [self._entry(info) for info in found]

    def stat(self, url: str) -> Entry:
        """Size and version of a file. Raises DataError."""
        try:
            return self._entry(self._files.info(url))
        except FileNotFoundError:
            raise DataError(f"{bare(url)}: no such file") from None

    def read(self, url: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`. Raises DataError."""
        try:
            return bytes(self._files.cat_file(url, start=start, end=stop))[: stop - start]
        except FileNotFoundError:
            raise DataError(f"{bare(url)}: no such file") from None

    def copy(self, url: str, out: Path) -> None:
        """Write the whole file to `out`."""
        self._files.get_file(url, str(out))

    def _entry(self, info: dict[str, Any]) -> Entry:
        name = info["name"].rstrip("/").rpartition("/")[2]
        version = next((str(info[key]) for key in ("ETag", "etag", "created") if info.get(key)), "")
        return Entry(name, info["type"] == "directory", info["size"] or 0, version)
