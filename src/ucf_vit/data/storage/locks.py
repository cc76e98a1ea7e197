"""Locks on files and directories that other processes may remove or replace."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD: set[tuple[Path, int]] = set()
"""Directories that threads of this process lock, with the threads."""


@contextmanager
def locked_file(path: Path) -> Iterator[int]:
    """Yields a handle that holds the lock of a file, also where it was removed while waiting for the lock."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


@contextmanager
def locked_directory(directory: Path, create: bool) -> Iterator[None]:
    """Holds the lock of a directory, which is made with `create`.

    Raises OSError (EDEADLK) if this thread holds it already. The garbage collector may run finalizers inside
    of the context, and one that waited for the lock would wait for itself.
    """
    key = (directory, threading.get_ident())
    if key in _HELD:
        raise OSError(errno.EDEADLK, "this thread holds the lock already", str(directory))
    _HELD.add(key)
    try:
        handle = _lock(directory, create)
        try:
            yield
        finally:
            os.close(handle)
    finally:
        _HELD.discard(key)


def _lock(directory: Path, create: bool) -> int:
    """Returns a handle that holds the lock of a directory, which may be replaced while waiting."""
    while True:
        if create:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                directory.mkdir(mode=0o700)
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if create and not directory.is_symlink():
                continue
            raise
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, directory):
            return handle
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Returns whether an open file is still the one at `path`."""
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def free_lock(lock: Path) -> Iterator[None]:
    """Holds a lock that no other process holds. Raises BlockingIOError where one does."""
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
