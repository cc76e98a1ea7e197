"""Reads files; every failure becomes a DataError that names the file.

A damaged file can make a library raise any exception, so all are caught.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.text import named_failure, one_line

_SPEAKING = (OSError, EOFError, ValueError, SyntaxError)
"""Built-in exceptions whose text describes the problem; of others the type and the line are reported."""


@contextmanager
def reading(path: str, failure: str = "can't be read") -> Iterator[None]:
    """Turns any exception into a DataError `PATH: FAILURE (CAUSE)`.

    A DataError that names `path` is raised as it is; another one gets the path as a prefix.
    """
    try:
        yield
    except DataError as error:
        if path in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    except UserError:
        raise
    except Exception as error:
        raise DataError(f"{path}: {failure} ({failure_of(error)})") from error


def failure_of(error: BaseException) -> str:
    """Returns one line that describes an exception."""
    text = one_line(error)
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    of_a_library = type(error).__module__ != "builtins"
    if text and (of_a_library or isinstance(error, _SPEAKING)):
        return text
    text = named_failure(error)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text}; raised in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else text
