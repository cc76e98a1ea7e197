"""Local copies of remote files, shared by the processes of a machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import bare, name_of
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.storage.store import Entry

FOLDER = "ucf_vit-cache"
_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,8}){0,2}$")


class Cache:
    """Copies of remote files, each of one version (URL, size, ETag), made once per machine, with a checksum.

    Without a `scratch`, the machine's temporary scratch directory is used.
    """

    def __init__(self, scratch: Scratch | None = None) -> None:
        self._scratch = scratch

    @classmethod
    def at(cls, directory: str | None, size: float | None, scratch: Scratch) -> Cache:
        """Returns a cache in a folder of its own in `directory`, which is kept, of up to `size` GiB.

        Without `directory` the copies are scratch files, which are removed at the end. Other files in
        `directory` are not touched. Raises UserError where the directory can't be used.
        """
        if directory is None and size is None:
            return cls(scratch)
        limit = None if size is None else int(size * 2**30)
        if directory is None:
            return cls(Scratch(None, limit))
        return cls(Scratch(Path(directory) / FOLDER, limit, keep=True))

    @property
    def scratch(self) -> Scratch:
        """Directory of the copies, also used for files derived from them."""
        if self._scratch is None:
            self._scratch = Scratch()
        return self._scratch

    def file(self, url: str, entry: Entry, download: Callable[[Path], None]) -> Path:
        """Returns the copy of `url`, whose current version is `entry`; `download(path)` makes it if needed.

        Raises DataError where there is no room for it.
        """
        copy = self.scratch.file(download, entry.size, _suffix(url), *_key(url, entry), checked=True)
        if copy is None:
            raise DataError(
                f"{bare(url)}: no room for its {entry.size:,} bytes in {self.scratch.directory} "
                f"(limit {self.scratch.limit:,}); set data.cache_dir to a directory on a larger disk, or a "
                "larger data.cache_size"
            )
        return copy

    def holds(self, url: str, entry: Entry) -> bool:
        """Returns whether there is a copy of this version."""
        return self.scratch.place(_suffix(url), *_key(url, entry)).exists()


def _key(url: str, entry: Entry) -> tuple[str, int, str]:
    return url, entry.size, entry.version


def _suffix(url: str) -> str:
    """Returns the suffix such as `.nii.gz`, by which readers recognise the format."""
    match = _SUFFIX.search(name_of(url))
    return match.group() if match else ""
