"""Expansion and checks of paths and URLs in configs, overrides and arguments."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.urls import bare, checked, is_remote, refuse_credentials

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([^}]*)\})")


def path_or_url(text: str) -> str:
    """Returns the path or URL in `text`, with `~` and `$NAME` expanded.

    Raises UserError for an unknown variable, user or kind of URL, and for credentials in a URL, which the
    message does not show.
    """
    refuse_credentials(text)
    return checked(expanded(text))


def local_path(text: str) -> str:
    """Returns the path in `text` as `path_or_url` does. Raises UserError for a URL, too."""
    path = path_or_url(text)
    if is_remote(path):
        raise UserError(
            f"{path}: a URL; expected a path on a file system (mount the bucket, or copy the files)"
        )
    return path


def to_path(given: str | Path) -> Path:
    """Returns the path in a text, as `local_path` does; a Path as it is. Raises UserError for a URL."""
    return given if isinstance(given, Path) else Path(local_path(given))


def expanded(text: str) -> str:
    """Expands `$NAME` and `${NAME}` from the environment, `$$` to a dollar sign, and `~` at the start."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3]
        if name not in os.environ:
            raise UserError(
                f"{bare(text)}: no variable {name} in the environment; a dollar sign is written $$"
            )
        return os.environ[name]

    path = _VARIABLE.sub(value, text)
    if not path.startswith("~"):
        return path
    home = os.path.expanduser(path)  # noqa: PTH111, of a string that may be a URL
    if home.startswith("~"):
        raise UserError(f"{bare(text)}: no user of this name; a file of this name is written ./{bare(path)}")
    return home


def escaped(path: str) -> str:
    """Returns `path` escaped, the inverse of `expanded`."""
    return ("./" if path.startswith("~") else "") + path.replace("$", "$$")
