"""Lists and reads the files of sources, the same for local paths and URLs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import bare, is_remote, join
from ucf_vit.data.limits import check_plain, check_size, memory
from ucf_vit.data.storage.cache import Cache
from ucf_vit.data.storage.failures import ChangedError, MissingError, Patience, ShortReadError, retry
from ucf_vit.data.storage.local_files import local_entries, read_parts, read_start
from ucf_vit.data.storage.open_store import store_of
from ucf_vit.data.storage.store import UNKNOWN, Entry, Store
from ucf_vit.planning.shape_reader import file_stamp

CONCURRENCY = 32
Found = TypeVar("Found")


class Files:
    """Lists and reads files by path or URL; can be sent to other processes.

    A local path is used directly; of a URL, `local` keeps a copy in the `cache`. Failed transfers are retried
    as `patience` says, then raise DataError with the URL; a truncated file is never returned. Anything that
    is neither file nor directory is refused. `max_item_bytes` is the limit for an item, if one is set.
    """

    def __init__(
        self,
        cache: Cache | None = None,
        patience: Patience | None = None,
        max_item_bytes: int | None = None,
    ) -> None:
        self.cache = cache or Cache()
        self.patience = patience or Patience()
        self.max_item_bytes = max_item_bytes
        self._known: dict[str, Entry] = {}

    @property
    def limit(self) -> int:
        """Largest number of bytes that a file may unpack to: `max_item_bytes`, or the machine's memory."""
        return memory() if self.max_item_bytes is None else self.max_item_bytes

    def check_size(self, path: str, size: int) -> None:
        """Raises DataError where `path` would unpack to `size` bytes and that is more than `limit`."""
        check_size(bare(path), size, self.limit)

    def entries(self, root: str) -> list[Entry]:
        """Returns the entries directly below a directory, sorted by name. Raises DataError where there is
        none.
        """
        entries = self._entries(root) if is_remote(root) else local_entries(root)
        return sorted(entries, key=lambda entry: (entry.name, entry.folder))

    def names(self, root: str) -> list[str]:
        """Returns the names of the entries, sorted by code point."""
        return list(dict.fromkeys(entry.name for entry in self.entries(root)))

    def folders(self, root: str) -> list[str]:
        """Returns the names of the entries that are directories."""
        return [entry.name for entry in self.entries(root) if entry.folder]

    def exists(self, path: str) -> bool:
        """Returns whether there is such a file or directory."""
        if not is_remote(path):
            return os.path.exists(path)  # noqa: PTH110, False where it may not be looked at
        for look in (self.stat, self.names):
            try:
                look(path)
                return True
            except MissingError:
                pass
        return False

    def stat(self, url: str) -> Entry:
        """Returns size and version of a remote file, from a listing or one request. Raises DataError."""
        entry = self._known.get(url)
        if entry is None:
            entry = self._ask(url, lambda store: store.stat(url))
            if entry.size == UNKNOWN:
                raise DataError(
                    f"{bare(url)}: the server does not report its size, so downloads can't be checked"
                )
            self._known[url] = entry
        return entry

    def stamp(self, path: str) -> tuple[int, int]:
        """Returns the size, and a number that changes with the contents (locally: the time of change in ns).

        -1, -1 where there is no such plain file.
        """
        if not is_remote(path):
            return file_stamp(path)
        try:
            entry = self.stat(path)
        except MissingError:
            return UNKNOWN, UNKNOWN
        digest = hashlib.blake2b(entry.version.encode(), digest_size=8).digest()
        return entry.size, int.from_bytes(digest, "little") >> 1

    def state(self, path: str) -> tuple[int, int]:
        """Returns the same as `stamp`, also of a local directory, from the names and stamps of its files."""
        if is_remote(path) or not os.path.isdir(path):  # noqa: PTH112
            return self.stamp(path)
        digest, size = hashlib.blake2b(digest_size=8), 0
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                about = file_stamp(os.path.join(folder, name))  # noqa: PTH118
                digest.update(repr((folder, name, about)).encode())
                size += about[0]
        return size, int.from_bytes(digest.digest(), "little") >> 1

    def local(self, path: str) -> Path:
        """Returns `path` itself, or a local copy of the remote file. Raises DataError where there is none.

        A copy that no process has open may be removed when other files need the room: see `using`.
        """
        if not is_remote(path):
            check_plain(path)
            return Path(path)
        for _ in range(self.patience.attempts):
            entry = self.stat(path)
            try:
                return self.cache.file(path, entry, partial(self._download, path, entry))
            except ChangedError:
                del self._known[path]
        raise DataError(f"{bare(path)}: changed while it was read")

    def using(self, path: str, load: Callable[[Path], Found]) -> Found:
        """Returns `load(file)` for the local file; a copy that was removed before it was opened is fetched
        again.
        """
        for _ in range(self.patience.attempts):
            try:
                return load(self.local(path))
            except FileNotFoundError:
                if not is_remote(path):
                    raise
        raise DataError(f"{bare(path)}: its local copy is removed before it is read; raise data.cache_size")

    def fetch(self, paths: Sequence[str], concurrency: int = CONCURRENCY) -> list[Path | DataError]:
        """Returns `local` of each path, or its error; many are fetched at a time."""

        def one(path: str) -> Path | DataError:
            try:
                return self.local(path)
            except DataError as error:
                return error

        if not any(map(is_remote, paths)):
            return [Path(path) for path in paths]
        with ThreadPoolExecutor(max_workers=concurrency) as pool:
            return list(pool.map(one, paths))

    def head(self, path: str, count: int) -> bytes:
        """Returns the first `count` bytes, or all of a shorter file. Raises DataError."""
        if not is_remote(path) or self._at_hand(path, count):
            return self.using(path, lambda file: read_start(file, count))
        try:
            return self._start(path, count)
        except ChangedError:
            del self._known[path]
            return self._start(path, count)

    def parts(self, path: str, size: int, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Returns bytes `start` to `stop` of each part of a file that has `size` bytes.

        Of a remote file only these are fetched, several parts at a time. Raises DataError, or OSError and
        ValueError for a local file.
        """
        if not is_remote(path):
            return read_parts(path, parts)
        entry = Entry(path, False, size)

        def one(part: tuple[int, int]) -> bytes:
            def read(store: Store) -> bytes:
                content = store.read(path, entry, *part)
                if len(content) != part[1] - part[0]:
                    raise ShortReadError(f"got {len(content)} of {part[1] - part[0]} bytes from {part[0]} on")
                return content

            return self._ask(path, read)

        if len(parts) == 1:
            return [one(parts[0])]
        with ThreadPoolExecutor(max_workers=min(len(parts), CONCURRENCY)) as pool:
            return list(pool.map(one, parts))

    def _at_hand(self, url: str, count: int) -> bool:
        """Returns whether to read the local copy: it exists already, or the file is hardly longer than its
        beginning.
        """
        entry = self.stat(url)
        return entry.size <= 2 * count or self.cache.holds(url, entry)

    def _start(self, url: str, count: int) -> bytes:
        entry = self.stat(url)
        expected = min(count, entry.size)

        def read(store: Store) -> bytes:
            start = store.read(url, entry, 0, expected) if expected else b""
            if len(start) != expected:
                raise ShortReadError(f"got {len(start)} of the first {expected} bytes")
            return start

        return self._ask(url, read)

    def _download(self, url: str, entry: Entry, out: Path) -> None:
        def copy(store: Store) -> None:
            store.copy(url, entry, out)
            if (size := out.stat().st_size) != entry.size:
                now = store.stat(url)
                if (now.size, now.version) != (entry.size, entry.version):
                    raise ChangedError(url)
                raise ShortReadError(f"got {size:,} of {entry.size:,} bytes")

        self._ask(url, copy)

    def _entries(self, root: str) -> list[Entry]:
        entries = self._ask(root, lambda store: store.entries(root))
        if not entries:
            raise MissingError(f"{bare(root)}: no such directory")
        self._known.update(
            {join(root, entry.name): entry for entry in entries if entry.size != UNKNOWN and not entry.folder}
        )
        return entries

    def _ask(self, url: str, call: Callable[[Store], Found]) -> Found:
        return retry(url, self.patience, lambda: call(store_of(url, self.patience)))
