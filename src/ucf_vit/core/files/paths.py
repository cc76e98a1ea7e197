"""Paths and URLs as users write them: in configs, overrides and arguments alike."""

from __future__ import annotations

import os
import re

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.urls import bare, checked, is_remote, refuse_credentials

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([^}]*)\})")


def path_or_url(text: str) -> str:
    """The path or URL that `text` means, with `~` and `$NAME` expanded.

    Raises UserError for a variable or user that there is not, for a kind of URL that is not known, and for
    credentials in a URL, in whose message they are not shown.
    """
    refuse_credentials(text)
    return checked(expanded(text))


def local_path(text: str) -> str:
    """The same for what has to be on a file system; UserError for a URL, too."""
    found = path_or_url(text)
    if is_remote(found):
        raise UserError(
            f"{found}: a URL; expected a path on a file system (mount the bucket, or copy the files)"
        )
    return found


def expanded(text: str) -> str:
    """`text` with `$NAME` and `${NAME}` from the environment, `$$` a dollar sign, then `~` at its start."""

    def value(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name = found[2] or found[3]
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
    """Returns the text that `expanded` makes `path` of."""
    return ("./" if path.startswith("~") else "") + path.replace("$", "$$")
