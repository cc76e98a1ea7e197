"""Copies of remote files on the local disk, shared by the processes of a machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.core.urls import bare, name_of
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.storage.store import Entry

FOLDER = "ucf_vit-cache"
_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,8}){0,2}$")


class Cache:
    """Each copy is of one version of a file (URL, size, ETag), made once per machine, with a checksum.

    Without a `scratch` of its own, the temporary one of the machine is used.
    """

    def __init__(self, scratch: Scratch | None = None) -> None:
        self._scratch = scratch

    @classmethod
    def at(cls, directory: str | None, size: float | None, scratch: Scratch) -> Cache:
        """In a folder of its own in `directory`, to stay there, up to `size` GiB.

        Without `directory` among the scratch files, gone with them. Other files in it are left alone. Raises
        UserError where the directory can't be used.
        """
        if directory is None and size is None:
            return cls(scratch)
        limit = None if size is None else int(size * 2**30)
        if directory is None:
            return cls(Scratch(None, limit))
        return cls(Scratch(Path(directory) / FOLDER, limit, keep=True))

    @property
    def scratch(self) -> Scratch:
        """Where the copies are; there is room for what is made of them, too."""
        if self._scratch is None:
            self._scratch = Scratch()
        return self._scratch

    def file(self, url: str, entry: Entry, download: Callable[[Path], None]) -> Path:
        """The copy of `url`, whose present content is `entry`; `download(path)` where there is none yet.

        Raises DataError where there is no room for it.
        """
        found = self.scratch.file(download, entry.size, _suffix(url), *_key(url, entry), checked=True)
        if found is None:
            raise DataError(
                f"{bare(url)}: no room for its {entry.size:,} bytes in {self.scratch.directory} "
                f"(limit {self.scratch.limit:,}); set data.cache_dir to a directory on a larger disk, or a "
                "larger data.cache_size"
            )
        return found

    def holds(self, url: str, entry: Entry) -> bool:
        """Whether there is a copy of this version."""
        return self.scratch.place(_suffix(url), *_key(url, entry)).exists()


def _key(url: str, entry: Entry) -> tuple[str, int, str]:
    return url, entry.size, entry.version


def _suffix(url: str) -> str:
    """`.nii.gz`: readers tell formats by it."""
    found = _SUFFIX.search(name_of(url))
    return found.group() if found else ""
