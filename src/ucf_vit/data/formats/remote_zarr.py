"""Variables of a Zarr store behind a URL; only the chunks that are needed are fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from ucf_vit.data.formats.netcdf import AS_STORED, XarrayFile, need
from ucf_vit.data.storage import MissingError, Patience
from ucf_vit.data.storage.by_fsspec import filesystem, root_of
from ucf_vit.data.storage.failures import retry
from ucf_vit.data.storage.open_store import environment_of

OPEN = 64
"""Number of stores that a process keeps open: reading their headers takes several requests."""


class RemoteZarr:
    """Same as XarrayFile, with failed reads retried."""

    def __init__(self, url: str, patience: Patience, limit: int) -> None:
        self._url = url
        self._patience = patience
        self._file = retry(url, patience, lambda: _dataset(url, patience, limit))
        self.shapes = self._file.shapes

    def read(self, name: str, where: tuple[Any, ...]) -> NDArray[Any]:
        """Returns an array; the chunks that it touches are fetched."""
        return retry(self._url, self._patience, lambda: self._file.read(name, where))


@contextmanager
def open_remote_zarr(url: str, patience: Patience, limit: int) -> Iterator[RemoteZarr]:
    """Yields the store at `url`. Raises DataError, or UserError where a package is missing."""
    need("zarr", url)
    yield _kept(url, patience, limit, os.getpid(), environment_of(url))


@lru_cache(maxsize=OPEN)
def _kept(url: str, patience: Patience, limit: int, process: int, environment: object) -> RemoteZarr:
    return RemoteZarr(url, patience, limit)


def _dataset(url: str, patience: Patience, limit: int) -> XarrayFile:
    import xarray
    from zarr.storage import FsspecStore

    from ucf_vit.data.formats.zarr_store import CheckedStore

    files = filesystem(url, patience, asynchronous=True)
    store = CheckedStore(FsspecStore(files, read_only=True, path=root_of(url)), limit)
    try:
        dataset = xarray.open_dataset(store, engine="zarr", consolidated=True, **AS_STORED)
    except (ValueError, KeyError):  # its headers are not gathered in one place
        dataset = xarray.open_dataset(store, engine="zarr", consolidated=False, **AS_STORED)
    if not dataset.variables:
        raise MissingError(f"{url}: no variable found; a web server must list its directories")
    return XarrayFile(dataset, limit, by_name=True)
