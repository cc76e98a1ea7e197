"""Store for a URL: made once per process, with the fastest library for its kind of storage."""

from __future__ import annotations

import importlib.util
import os
import threading

from ucf_vit.core.files.urls import checked, scheme
from ucf_vit.data.storage.failures import Patience
from ucf_vit.data.storage.store import Store

_AWS = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"),
)
_stores: dict[object, Store] = {}
_making = threading.Lock()


def _after_fork() -> None:
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
_obstore_in = 0
"""Id of the process that uses obstore: its threads do not survive a fork, where it would wait forever."""


def store_of(url: str, patience: Patience) -> Store:
    """Returns the store that reads `url` in this process. Raises UserError where a package is missing."""
    kind = scheme(checked(url))
    host = url.partition("://")[2].partition("/")[0]
    key = (os.getpid(), kind, host, patience, environment_of(url))
    with _making:
        if key not in _stores:
            _stores[key] = _make(url, kind, host, patience)
        return _stores[key]


def environment_of(url: str) -> object:
    """Returns the environment variables that decide how `url` is read."""
    return tuple(map(os.environ.get, _AWS)) if scheme(url) in ("s3", "s3a") else ()


def _make(url: str, kind: str, host: str, patience: Patience) -> Store:
    from ucf_vit.data.storage.by_fsspec import FsspecStore
    from ucf_vit.data.storage.http import HttpStore

    global _obstore_in
    if kind in ("http", "https"):
        return HttpStore(url, patience)
    plain = FsspecStore(url, patience)
    if kind not in ("s3", "s3a") or not importlib.util.find_spec("obstore"):
        return plain
    if _obstore_in not in (0, os.getpid()):
        return plain
    from ucf_vit.data.storage.by_obstore import ObstoreStore

    _obstore_in = os.getpid()
    return ObstoreStore(host, plain, patience)
