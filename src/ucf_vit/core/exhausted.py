"""Errors that say that the machine has no more room, as what a user can do about it."""

from __future__ import annotations

import errno

from ucf_vit.core.errors import brief

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_MEMORY = ("not enough memory", "out of memory", "allocate memory", "shared memory")
"""How libraries say it in a RuntimeError."""


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
