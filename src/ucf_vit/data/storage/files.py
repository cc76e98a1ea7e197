"""What a source asks of the place where its files are, the same for local paths and URLs."""

from __future__ import annotations

from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.storage.paths import is_remote
from ucf_vit.data.storage.remote import Remote


class Files:
    """Lists and reads files by path or URL; goes along to other processes.

    A local path is used as it is. Of a URL, `local` keeps a copy in `scratch`.
    """

    def __init__(self, scratch: Scratch | None = None) -> None:
        self._scratch = scratch

    def names(self, root: str) -> list[str]:
        """Names directly below a directory, sorted by code point. Raises DataError where there is none."""
        if is_remote(root):
            return sorted({entry.name for entry in Remote(root).entries(root)})
        try:
            return sorted(path.name for path in Path(root).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{root}: no such directory") from None

    def local(self, path: str) -> Path:
        """`path` itself, or a copy of the whole remote file. Raises DataError where it can't be had."""
        if not is_remote(path):
            return Path(path)
        if self._scratch is None:
            self._scratch = Scratch()
        remote = Remote(path)
        found = remote.stat(path)
        key = (path, found.size, found.version)
        suffix = "".join(Path(path).suffixes[-2:])
        copy = self._scratch.file(lambda out: remote.copy(path, out), found.size, suffix, *key)
        if copy is None:
            raise DataError(f"{path}: no room for a copy of it in {self._scratch.directory}")
        return copy

    def head(self, path: str, count: int) -> bytes:
        """The first `count` bytes, or all of a shorter file. Raises DataError."""
        if is_remote(path):
            return Remote(path).read(path, 0, count)
        with Path(path).open("rb") as stream:
            return stream.read(count)
