"""Objects of a user's own: what a config names as `path/to/file.py:name`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import nearest


def in_file(name: str) -> bool:
    """Whether `name` has the form `path/to/file.py:name`."""
    path, colon, _ = name.rpartition(":")
    return bool(colon) and path.endswith(".py")


def load(name: str, kind: str, error: type[UserError] = UserError) -> Any:
    """The class or function that `path/to/file.py:name` stands for; the file is executed once per process.

    Raises `error`, which speaks of a `kind` ("data source"), where the file or the name in it is missing.
    """
    path, _, attribute = name.rpartition(":")
    module = _module(Path(path), kind, error)
    if not hasattr(module, attribute):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise error(f"{name}: the file has no {attribute!r}{nearest(attribute, known)}")
    return getattr(module, attribute)


def _module(path: Path, kind: str, error: type[UserError]) -> ModuleType:
    if not path.is_file():
        raise error(f"{path}: no such file (a {kind} was asked for as path/to/file.py:name)")
    name = "ucf_vit_plugin_" + hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise error(f"{path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]
