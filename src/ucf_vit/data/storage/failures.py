"""Failures of remote storage: which are retried, how long, and how they are reported."""

from __future__ import annotations

import errno
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.urls import HIDDEN, bare, without_credentials
from ucf_vit.core.text import one_line

Found = TypeVar("Found")

_OURS = (UserError, AttributeError, NameError, TypeError, ImportError, MemoryError)
_FOLDER = (IsADirectoryError, NotADirectoryError)
_REFUSED = ("PermissionError", "PermissionDeniedError", "UnauthenticatedError", "NoCredentialsError")
_SECRET = re.compile(r"(SECRET|TOKEN|KEY|PASSWORD)")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_OWN = random.SystemRandom()


@dataclass(frozen=True)
class Patience:
    """Retries and time-outs of remote storage.

    At most `attempts` are made, with a pause of `wait` seconds after the first failure, doubled after each
    further one up to `longest`. `connect` and `read` are time-outs in seconds.
    """

    attempts: int = 6
    wait: float = 0.25
    longest: float = 8.0
    connect: float = 10.0
    read: float = 60.0

    def pause(self, failed: int) -> float:
        """Returns the pause in seconds after `failed` attempts, random so that ranks do not all retry at
        once.

        It does not use the global generator, which a training step seeds alike on ranks that share samples.
        """
        return min(self.longest, self.wait * 2 ** (failed - 1)) * _OWN.uniform(0.5, 1.0)


class MissingError(DataError):
    """No such file or directory."""


class ShortReadError(Exception):
    """Fewer bytes arrived than were requested."""


class ChangedError(Exception):
    """A file is no longer the version that was listed."""


def retry(url: str, patience: Patience, call: Callable[[], Found]) -> Found:
    """Returns `call()`, retried where that may help. Raises DataError that names `url`."""
    failed = 0
    while True:
        try:
            return call()
        except (*_OURS, ChangedError):
            raise
        except Exception as error:
            if getattr(error, "errno", None) in _NO_ROOM:
                raise
            failed += 1
            final = _final(error)
            if final is not None:
                raise final(f"{bare(url)}: {storage_failure(error)}") from None
            if failed >= patience.attempts:
                raise DataError(f"{bare(url)}: {storage_failure(error)}; tried {failed} times") from None
        time.sleep(patience.pause(failed))


def _final(error: Exception) -> type[DataError] | None:
    """Returns the exception to raise at once where a retry can't help, else None."""
    status = _status(error)
    if _is_missing(error):
        return MissingError
    if isinstance(error, _FOLDER) or _refused(error):
        return DataError
    if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
        return DataError
    return None


def _status(error: BaseException) -> int | None:
    """Returns the HTTP status: an attribute of aiohttp's errors, part of the text of obstore's."""
    status = getattr(error, "status", None)
    match = re.search(r"status code: (\d{3})", str(error)) if status is None else None
    return int(match.group(1)) if match else status


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, FileNotFoundError) or _status(error) == 404


def _refused(error: BaseException) -> bool:
    names = {one.__name__ for one in type(error).__mro__}
    return not names.isdisjoint(_REFUSED) or _status(error) in (401, 403)


def storage_failure(error: BaseException) -> str:
    """Returns one line that describes an error, without credentials."""
    if _is_missing(error):
        return "no such file"
    if _refused(error):
        return (
            "access refused; credentials come from the environment or the usual files (AWS_ACCESS_KEY_ID, "
            "~/.aws, GOOGLE_APPLICATION_CREDENTIALS), see docs/storage.md"
        )
    text = without_credentials(one_line(str(error).partition("\n")[0]))
    for name, value in os.environ.items():
        if len(value) > 3 and _SECRET.search(name.upper()):
            text = text.replace(value, HIDDEN)
    return text[:300] or type(error).__name__
