"""Remote files through fsspec: every kind of storage that it supports."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import fsspec

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.urls import EXTRAS, bare, checked, scheme
from ucf_vit.data.storage.failures import Patience
from ucf_vit.data.storage.store import UNKNOWN, Entry

_VERSION = ("ETag", "etag", "Last-Modified", "LastModified", "generation", "updated", "mtime", "created")


def filesystem(url: str, patience: Patience, asynchronous: bool = False) -> Any:
    """Returns a new fsspec filesystem for `url` with time-outs and without a cache of listings. Raises
    UserError.
    """
    kind = scheme(checked(url))
    package, extra = EXTRAS[kind]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{bare(url)}: needs {package}; install it with: pip install 'ucf-vit[{extra}]'")
    options = {"skip_instance_cache": True, **_options(kind, patience)}
    if asynchronous and kind != "memory":
        options["asynchronous"] = True
    made = fsspec.filesystem(kind, **options)
    if asynchronous and not made.async_impl:
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

        return AsyncFileSystemWrapper(made, asynchronous=True)
    if kind in ("s3", "s3a"):
        made.retries = 1
    return made


def _options(kind: str, patience: Patience) -> dict[str, Any]:
    if kind == "memory":
        return {}
    if kind in ("s3", "s3a"):
        from ucf_vit.data.storage.aws import aws

        config = {
            "connect_timeout": patience.connect,
            "read_timeout": patience.read,
            "retries": {"max_attempts": 0},
        }
        return {"anon": aws().credentials is None, "config_kwargs": config, "use_listings_cache": False}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience.connect, sock_read=patience.read)
    if kind in ("gs", "gcs"):
        return {"session_kwargs": {"timeout": timeout}, "use_listings_cache": False}
    identity = {"Accept-Encoding": "identity"}
    return {"client_kwargs": {"timeout": timeout}, "headers": identity, "encoded": True}


def key_of(url: str) -> str:
    """Returns bucket and key, or a complete http URL: the form that fsspec calls a path."""
    return url if scheme(url) in ("http", "https") else url.partition("://")[2]


def root_of(url: str) -> str:
    """Returns the path of a directory in the form in which fsspec lists it."""
    return ("/" if scheme(url) == "memory" else "") + key_of(url).strip("/")


class FsspecStore:
    """Files of one fsspec filesystem."""

    def __init__(self, url: str, patience: Patience) -> None:
        self.files = filesystem(url, patience)

    def entries(self, root: str) -> list[Entry]:
        """Returns the entries directly below a directory."""
        key = key_of(root).rstrip("/")
        try:
            listed = self.files.ls(key, detail=True)
        except FileNotFoundError:
            return []
        entries = [_entry(info, info["name"].strip("/").removeprefix(f"{key}/")) for info in listed]
        above = key.strip("/")
        return [entry for entry in entries if entry.name and entry.name != above]

    def stat(self, url: str) -> Entry:
        """Returns size and version of a file."""
        entry = _entry(self.files.info(key_of(url)), url)
        if entry.folder:
            raise FileNotFoundError(url)
        return entry

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Returns bytes `start` to `stop`."""
        return bytes(self.files.cat_file(key_of(url), start=start, end=stop))

    def copy(self, url: str, entry: Entry, out: Path) -> None:
        """Writes the whole file to `out`."""
        self.files.get_file(key_of(url), str(out))


def _entry(info: dict[str, Any], name: str) -> Entry:
    version = next((str(info[key]) for key in _VERSION if info.get(key)), "")
    size = info.get("size")
    return Entry(name, info["type"] == "directory", UNKNOWN if size is None else int(size), version)
