"""Errors a user can act on: one clear message, no traceback on the command line."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_MEMORY = ("not enough memory", "out of memory", "allocate memory", "shared memory")
"""How libraries say it in a RuntimeError."""


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, where and what to do."""

    exit_code = 1


class ConfigError(UserError):
    """A config file or an override is wrong; names the file, line, key, value and what was expected."""

    exit_code = 2


class DataError(UserError):
    """A data file cannot be used; names the file and the cause."""


class CheckpointError(UserError):
    """A checkpoint cannot be used; names the file and the cause."""


def brief(cause: object) -> str:
    """Returns the text of an error in one short line without control characters."""
    text = " ".join(str(cause).split())
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:200]


def exhausted(error: BaseException) -> str:
    """One message where `error` says that a disk is full or closed, or that memory is; nothing for others."""
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; make room, or write elsewhere"
    if isinstance(error, OSError) and error.errno in _CLOSED and error.filename:
        return f"{error.filename}: {error.strerror}"
    is_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if is_memory or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY)):
        said = brief(error)
        return (
            f"not enough memory{f' ({said})' if said else ''}: lower data.batch_size or the size of the model"
        )
    return ""
