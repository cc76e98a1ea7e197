"""Loads classes and functions from a user's file, named as `path/to/file.py:name`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import local_path
from ucf_vit.core.text import named_failure, to_bytes


def in_file(name: str) -> bool:
    """Returns whether `name` has the form `path/to/file.py:name`."""
    path, colon, _ = name.rpartition(":")
    return bool(colon) and path.endswith(".py")


def file_of(name: str) -> Path:
    """Returns the file in `path/to/file.py:name`, with `~` and `$NAME` expanded."""
    return Path(local_path(name.rpartition(":")[0]))


def load(name: str, kind: str, error: type[UserError] = UserError) -> Any:
    """Returns the class or function `path/to/file.py:name`; the file is executed once per process.

    Raises `error`, with `kind` ("data source") in the message, if the file or the name in it is missing, or
    if the file cannot be executed.
    """
    attribute = name.rpartition(":")[2]
    module = _module(file_of(name), kind, error)
    if not hasattr(module, attribute):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise error(f"{name}: the file has no {attribute!r}{did_you_mean(attribute, known)}")
    return getattr(module, attribute)


def user_code_failure(error: Exception, path: Path) -> str:
    """Returns the text of an error in the user's file `path`: `line 7: ValueError: no such axis`.

    The line is the last one of the file in the traceback, if any.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames]
    text: object = error
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
        text = error.msg
    lines = [line for file, line in places if Path(file).resolve() == path.resolve()]
    where = [f"line {lines[-1]}"] if lines else []
    return ": ".join([*where, named_failure(error, text)])


def _module(path: Path, kind: str, error: type[UserError]) -> ModuleType:
    if not path.is_file():
        raise error(
            f"{path}: no such file (a {kind} was named as path/to/file.py:name); where it has moved, "
            "override the key with its new place"
        )
    name = "ucf_vit_plugin_" + hashlib.blake2b(to_bytes(str(path.resolve())), digest_size=6).hexdigest()
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise error(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as cause:
            del sys.modules[name]
            raise error(f"{path}: this {kind} can't be loaded: {user_code_failure(cause, path)}") from cause
    return sys.modules[name]
