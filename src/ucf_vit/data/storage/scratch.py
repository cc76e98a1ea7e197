"""Scratch files shared by a user's processes on a machine: decompressed volumes, facts about items."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.digests import file_digest
from ucf_vit.data.storage.locks import free_lock, locked_directory, locked_file

log = logging.getLogger(__name__)
_NO_ENTRY = (".lock", ".owner", ".partial", ".total")
_DIGITS = 20
_FULL = 0.9
"""Fraction of the limit that remains used after files were removed."""


class Scratch:
    """Directory of files that can be made again, limited in size and removed when its last owner ends.

    Owners are the processes that created a Scratch (workers get copies of theirs). Each holds a lock on a
    file of its own, which the system releases however the process ends: the next owner removes what a killed
    one left behind. `limit` is in bytes (default: half of the free space); beyond it the least recently used
    files are removed. No file is essential: when the directory can't be used, `file` returns None.

    With `keep` the files stay for the next run. Each then has a checksum, which is verified when a run uses
    the file for the first time, and a directory that can't be used raises UserError.
    """

    def __init__(
        self, directory: Path | str | None = None, limit: int | None = None, keep: bool = False
    ) -> None:
        self.directory = Path(directory or Path(tempfile.gettempdir()) / f"ucf_vit-{os.getuid()}").absolute()
        self.limit = 0
        self.keep = keep
        self._since = time.time()
        try:
            with locked_directory(self.directory, create=True):
                if self.directory.stat().st_uid != os.getuid():
                    raise PermissionError("it belongs to another user")
                if keep:
                    used = _begin(self.directory)
                else:
                    used = 0
                    _sweep(self.directory)
                    mark = _own(self.directory)
            free = shutil.disk_usage(self.directory).free
            self.limit = (free + used) // 2 if limit is None else limit
        except OSError as error:
            if keep:
                raise UserError(f"{self.directory}: can't be used to keep files ({error})") from None
            log.warning("no scratch files: %s can't be used (%s)", self.directory, error)
            return
        if not keep:
            weakref.finalize(self, _release, self.directory, mark, os.getpid())

    def place(self, suffix: str, *key: object) -> Path:
        """Returns the path of the file named by `key`, whether it exists or not."""
        name = hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()
        return self.directory / f"{name}{suffix}"

    def file(
        self, make: Callable[[Path], None], size: int, suffix: str, *key: object, checked: bool = False
    ) -> Path | None:
        """Returns the file named by `key`; `make(path)` makes it if needed, with about `size` bytes.

        Processes that request the same file wait for the one that makes it. With `checked` a damaged file is
        made again. None if it can't be kept (`size` over the limit, disk full). Any other exception of `make`
        is raised.
        """
        path = self.place(suffix, *key)
        checked = checked or self.keep
        if size > self.limit:
            return None
        try:
            with locked_file(_lock_file(path)) as lock:
                if path.exists() and (not checked or self._is_good(path, lock)):
                    os.utime(path)
                    return path
                self._make_room(size)
                made = self._write(path, make)
                if made is not None and checked:
                    _seal(made, lock)
                return made
        except (FileNotFoundError, PermissionError):
            if self.directory.is_dir():
                raise
            self.limit = 0
            return None

    def _is_good(self, path: Path, lock: int) -> bool:
        """Returns whether a file has its size and, the first time in this run, its checksum."""
        try:
            size, digest = os.pread(lock, 100, 0).decode().split()
            good = path.stat().st_size == int(size)
            if good and os.fstat(lock).st_mtime < self._since:
                good = file_digest(path) == digest
                os.utime(lock)
        except ValueError:  # whoever made it was killed before it was sealed
            good = False
        if not good:
            log.warning("%s is damaged, or was left unfinished; it is made again", path)
        return good

    def _make_room(self, size: int) -> None:
        """Adds `size` bytes to the total; above the limit the oldest files are removed."""
        with locked_file(self.directory / "all.total") as total:
            known = os.pread(total, _DIGITS, 0)
            used = int(known) if known else None
            if used is None or used + size > self.limit:
                used = self._remove(size)
            os.pwrite(total, _written(used + size), 0)

    def _remove(self, size: int) -> int:
        """Removes files until `size` more bytes fit, and returns the bytes that remain."""
        files = [(path, path.stat()) for path in _entries(self.directory)]
        used = sum(stat.st_size for _, stat in files)
        if used + size <= self.limit:
            return used
        excess = used + size - max(size, int(self.limit * _FULL))
        for path, stat in sorted(files, key=lambda pair: pair[1].st_mtime_ns):
            if excess <= 0:
                break
            _remove(path)
            excess -= stat.st_size
            used -= stat.st_size
        return used

    def _write(self, path: Path, make: Callable[[Path], None]) -> Path | None:
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            make(partial)
            partial.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            log.warning("no room for scratch files in %s", path.parent)
            self.limit = 0
            return None
        finally:
            partial.unlink(missing_ok=True)
        return path


def _seal(path: Path, lock: int) -> None:
    """Records size and checksum of a file that was just made."""
    os.pwrite(lock, _written(path.stat().st_size) + f" {file_digest(path)}".encode(), 0)


def _written(number: int) -> bytes:
    """Returns text of constant length: overwriting a file is much faster than truncating it first."""
    return f"{number:0{_DIGITS}}".encode()


def _entries(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.suffix not in _NO_ENTRY]


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _remove(path: Path) -> None:
    """Removes a file, and its lock file where no process holds it.

    A process that waits for the lock notices that it was replaced.
    """
    path.unlink(missing_ok=True)
    lock = _lock_file(path)
    with suppress(FileNotFoundError, BlockingIOError), lock.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.unlink()


def _begin(directory: Path) -> int:
    """Returns the bytes in a directory whose files are kept, after removing what killed processes left
    unfinished.
    """
    for partial in directory.glob("*.partial"):
        lock = _lock_file(partial.with_name(partial.name.rsplit(".", 2)[0]))
        with suppress(BlockingIOError), free_lock(lock):
            partial.unlink(missing_ok=True)
    for lock in directory.glob("*.lock"):
        if not lock.with_suffix("").exists():
            with suppress(BlockingIOError), free_lock(lock):
                lock.unlink()
    used = sum(path.stat().st_size for path in _entries(directory))
    (directory / "all.total").write_bytes(_written(used))
    return used


def _own(directory: Path) -> int:
    """Returns a handle that holds the lock of a new owner's file."""
    handle, _ = tempfile.mkstemp(suffix=".owner", dir=directory)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _release(directory: Path, mark: int, process: int) -> None:
    """Gives up ownership; the last owner removes the directory. Forked workers of an owner hold nothing.

    If the garbage collector calls this while this thread makes another Scratch, the next owner cleans up.
    """
    if os.getpid() != process:
        return
    fcntl.flock(mark, fcntl.LOCK_UN)
    os.close(mark)
    with suppress(OSError), locked_directory(directory, create=False):
        _sweep(directory)
        if not any(directory.iterdir()):
            directory.rmdir()


def _sweep(directory: Path) -> None:
    """Removes the files of owners that have ended and, if none is left, all files."""
    for mark in directory.glob("*.owner"):
        with mark.open() as handle, suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark.unlink()
    if not any(directory.glob("*.owner")):
        for path in directory.iterdir():
            path.unlink()
