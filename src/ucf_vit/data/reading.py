"""Reading of files: whatever goes wrong in a file becomes a DataError with its name.

A damaged file can make a library raise anything, so no list of exceptions would be complete.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucf_vit.core.errors import DataError, UserError

_SPEAKING = (OSError, EOFError, ValueError, SyntaxError)
"""Python's exceptions whose text says what is wrong with a file; of its others type and place are told."""


@contextmanager
def reading(path: str, failure: str = "can't be read") -> Iterator[None]:
    """Makes a DataError, `PATH: FAILURE (CAUSE)`, of whatever is raised in it.

    Of a DataError that names `path` nothing is changed, of another one the name is added.
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
    """One line that says what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    of_a_library = type(error).__module__ != "builtins"
    if text and (of_a_library or isinstance(error, _SPEAKING)):
        return text
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text}; raised in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else text
