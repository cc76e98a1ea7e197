"""Paths and URLs as strings: which is which, names below them, what must not be in them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ucf_vit.core.errors import UserError

EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "memory": ("fsspec", ""),
}
"""Of each scheme: the package it needs, and the extra of this package that installs it."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_remote(path: str) -> bool:
    """Whether `path` is a URL: `s3://bucket/folder`, `https://host/folder`."""
    return bool(_SCHEME.match(path))


def scheme(url: str) -> str:
    """`s3` of `s3://bucket/folder`; empty of a local path."""
    found = _SCHEME.match(url)
    return found.group(1).lower() if found else ""


def join(root: str, *names: str) -> str:
    """The path or URL of `names` below `root`: percent-encoded in http URLs, as it is in all others."""
    if not is_remote(root):
        return str(Path(root, *names))
    if scheme(root) in ("http", "https"):
        names = tuple(quote(name, safe="/") for name in names)
    return "/".join([root.rstrip("/"), *names])


def name_of(path: str) -> str:
    """The last name of a path or URL."""
    if not is_remote(path):
        return Path(path).name
    name = path.rstrip("/").rpartition("/")[2]
    return unquote(name) if scheme(path) in ("http", "https") else name


def checked(path: str) -> str:
    """A path, or a URL of a kind that is known and without credentials; `file://` becomes a path.

    Raises UserError, in whose message there are no credentials either.
    """
    kind = scheme(path)
    if not kind:
        return path
    if kind == "file":
        return unquote(urlsplit(path).path)
    if kind not in EXTRAS:
        raise UserError(f"{bare(path)}: URLs of {kind}:// are not known; known are {', '.join(EXTRAS)}")
    if bare(path) != path:
        raise UserError(
            f"{bare(path)}: the URL carries credentials or a query; remove them: credentials come from the "
            "environment or the usual files (AWS_ACCESS_KEY_ID, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS)"
        )
    return path


def bare(url: str) -> str:
    """A URL without user, password and query, to be shown; a path as it is."""
    kind = scheme(url)
    if not kind:
        return url
    rest = url[len(kind) + 3 :]
    if kind in ("http", "https"):
        rest = rest.partition("?")[0].partition("#")[0]
        host, slash, path = rest.partition("/")
        return f"{url[: len(kind)]}://{host.rpartition('@')[2]}{slash}{path}"
    host = rest.partition("/")[0]
    if "@" in host or ":" in host:  # a secret key may hold slashes, the name of a bucket no colon
        rest = rest.rpartition("@")[2] if "@" in rest else rest[len(host) :].lstrip("/")
    return f"{url[: len(kind)]}://{rest}"
