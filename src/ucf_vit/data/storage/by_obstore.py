"""Objects of an S3 bucket through obstore (optional), which is much faster than fsspec for small objects."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import InvalidPathError, NotSupportedError, PreconditionError
from obstore.store import S3Store

from ucf_vit.data.storage.aws import aws
from ucf_vit.data.storage.failures import ChangedError, Patience, ShortReadError
from ucf_vit.data.storage.store import Entry, Store

PART = 2**24
"""Bytes per request: larger files are fetched in several requests at a time."""
THREADS = 8
_TAG = '"'
"""First character of a strong ETag; an object without one is identified by its time of change."""


class ObstoreStore:
    """Objects of one bucket. `plain` handles names that obstore refuses (`a//b`, control characters)."""

    def __init__(self, bucket: str, plain: Store, patience: Patience) -> None:
        settings = aws()
        access: dict[str, Any] = {"skip_signature": True}
        if settings.credentials is not None:
            access = {"credential_provider": settings.keys}
        if settings.endpoint is not None:
            access |= {"endpoint": settings.endpoint, "virtual_hosted_style_request": False}
        self._plain = plain

        def store(retries: int) -> S3Store:
            return S3Store(
                bucket,
                region=settings.region,
                client_options={
                    "timeout": timedelta(seconds=patience.read),
                    "connect_timeout": timedelta(seconds=patience.connect),
                    "allow_http": (settings.endpoint or "").startswith("http://"),
                },
                retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=patience.read)},
                **access,
            )

        self._store = store(retries=0)
        self._pages = store(retries=2)  # a listing of many pages need not begin anew for one of them

    def entries(self, root: str) -> list[Entry]:
        """Returns the entries directly below a prefix."""
        prefix = _key(root)
        try:
            listed = obstore.list_with_delimiter(self._pages, prefix or None)
        except (InvalidPathError, NotSupportedError):
            return self._plain.entries(root)
        skip = len(prefix) + 1 if prefix else 0
        files = [_entry(meta, meta["path"][skip:]) for meta in listed["objects"]]
        folders = [Entry(path.rstrip("/")[skip:], True) for path in listed["common_prefixes"]]
        return [entry for entry in folders + files if entry.name]

    def stat(self, url: str) -> Entry:
        """Returns size and version of an object."""
        if not _known(_key(url)):
            return self._plain.stat(url)
        return _entry(obstore.head(self._store, _key(url)), url)

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Returns bytes `start` to `stop` of the version of the object that `entry` describes."""
        if not _known(_key(url)):
            return self._plain.read(url, entry, start, stop)
        options: Any = {"range": (start, stop)}
        if entry.version.startswith(_TAG):
            options["if_match"] = entry.version
        try:
            return obstore.get(self._store, _key(url), options=options).bytes().to_bytes()
        except PreconditionError:
            raise ChangedError(url) from None

    def copy(self, url: str, entry: Entry, out: Path) -> None:
        """Writes the object to `out`."""
        if not _known(_key(url)):
            self._plain.copy(url, entry, out)
        elif entry.size > PART:
            self._in_parts(url, entry, out)
        else:
            answer = obstore.get(self._store, _key(url))
            tag = answer.meta["e_tag"] or ""
            if tag != entry.version and tag.startswith(_TAG) and entry.version.startswith(_TAG):
                raise ChangedError(url)
            out.write_bytes(answer.bytes())

    def _in_parts(self, url: str, entry: Entry, out: Path) -> None:
        with out.open("wb") as file, ThreadPoolExecutor(max_workers=THREADS) as pool:

            def part(start: int) -> None:
                stop = min(start + PART, entry.size)
                content = self.read(url, entry, start, stop)
                if len(content) != stop - start:
                    raise ShortReadError(f"got {len(content)} bytes from {start} on, expected {stop - start}")
                os.pwrite(file.fileno(), content, start)

            for _ in pool.map(part, range(0, entry.size, PART)):
                pass


def _key(url: str) -> str:
    return url.partition("://")[2].partition("/")[2].rstrip("/")


def _known(key: str) -> bool:
    """Returns whether obstore accepts a key unchanged."""
    parts = key.split("/")
    return key.isprintable() and not any(part in ("", ".", "..") for part in parts)


def _entry(meta: Any, name: str) -> Entry:
    return Entry(name, False, int(meta["size"]), meta["e_tag"] or str(meta["last_modified"]))
