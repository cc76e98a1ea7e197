"""Errors for users: one clear message, without a traceback on the command line."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_MEMORY = ("not enough memory", "out of memory", "allocate memory", "shared memory")
"""How libraries say it in a RuntimeError."""


class UserError(Exception):
    """Error in something that the user gave; the message says what is wrong, where, and what to do."""

    exit_code = 1


class ConfigError(UserError):
    """Error in a config; the message names file, line, key and value, and what was expected."""

    exit_code = 2


class DataError(UserError):
    """Error in a data file; the message names the file and the cause."""


class CheckpointError(UserError):
    """Error in a checkpoint; the message names the file and the cause."""


def brief(cause: object) -> str:
    """Returns the text of an error as one short line without control characters."""
    text = " ".join(str(cause).split())
    return "".join(character if character.isprintable() else "?" for character in text)[:200]


def exhausted(error: BaseException) -> str:
    """Returns a message with advice if a disk is full or not writable, or memory is full; else empty."""
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; make room, or write elsewhere"
    if isinstance(error, OSError) and error.errno in _CLOSED and error.filename:
        return f"{error.filename}: {error.strerror}"
    is_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if is_memory or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY)):
        cause = brief(error)
        shown = f" ({cause})" if cause else ""
        return f"not enough memory{shown}: lower data.batch_size or the size of the model"
    return ""
