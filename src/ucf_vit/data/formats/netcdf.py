"""Variables of a NetCDF file or a Zarr store, read by xarray (optional)."""

from __future__ import annotations

import importlib.util
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.data.formats import conventions
from ucf_vit.data.limits import check_size

ENGINES = {".nc": "netcdf4", ".nc4": "netcdf4", ".cdf": "netcdf4", ".zarr": "zarr"}
"""Engine of xarray by suffix."""
EXTRAS = {"netcdf4": ("netcdf", ("xarray", "netCDF4")), "zarr": ("zarr", ("xarray", "zarr"))}
"""For each engine: the extra of this package that installs it, and the packages needed."""
AS_STORED = {"mask_and_scale": False, "decode_times": False, "decode_timedelta": False, "cache": False}
"""Options of xarray that leave values as they are stored; `conventions` decodes them."""
_one_at_a_time = threading.Lock()
"""The NetCDF library is not thread-safe."""


class XarrayFile:
    """Variables of a dataset opened `AS_STORED`; no part or chunk may have more than `limit` bytes.

    They are in the order of the file, or sorted by name with `by_name` (Zarr, where the order of directory
    entries has no meaning).
    """

    def __init__(self, dataset: Any, limit: int, by_name: bool = False) -> None:
        self._dataset = dataset
        self._limit = limit
        self._netcdf = not by_name
        names = sorted(dataset.variables) if by_name else list(dataset.variables)
        variables = {name: dataset.variables[name] for name in names}
        self.shapes = {
            str(name): tuple(map(int, variable.shape))
            for name, variable in variables.items()
            if variable.dtype.kind in "biuf"
        }

    def read(self, name: str, where: tuple[Any, ...]) -> NDArray[Any]:
        """Returns an array; xarray reads only this part (of Zarr: the chunks that it touches)."""
        variable = self._dataset.variables[name]
        part = variable[where]
        chunk = variable.encoding.get("chunks") or variable.encoding.get("chunksizes") or ()
        values = max(part.size, math.prod(chunk))
        check_size(f"variable {name}", values * np.dtype(variable.dtype).itemsize, self._limit)
        attributes = dict(variable.attrs)
        old_zarr = not self._netcdf and "serializer" not in variable.encoding
        if old_zarr and np.all(attributes.get("_FillValue", 1) == 0):
            del attributes["_FillValue"]  # what Zarr 2 writes by default; others are meant, as xarray's are
        return conventions.values(np.asarray(part.values), attributes, unwritten=self._netcdf)


@contextmanager
def open_dataset(path: str, limit: int) -> Iterator[XarrayFile]:
    """Opens the dataset at `path` for the duration of the context: no handle is left for a fork to share.

    Raises UserError where a package is missing.
    """
    engine = next(engine for suffix, engine in ENGINES.items() if path.lower().endswith(suffix))
    need(engine, path)
    import xarray

    if engine == "zarr":
        from ucf_vit.data.formats.zarr_store import local_store

        opened = xarray.open_dataset(local_store(path, limit), engine=engine, consolidated=False, **AS_STORED)
        with opened as dataset:
            yield XarrayFile(dataset, limit, by_name=True)
        return
    with _one_at_a_time, xarray.open_dataset(path, engine=engine, **AS_STORED) as dataset:
        yield XarrayFile(dataset, limit)


def need(engine: str, path: str) -> None:
    """Raises UserError where a package that reads `path` is missing."""
    extra, packages = EXTRAS[engine]
    if not all(map(importlib.util.find_spec, packages)):
        needed = " and ".join(packages)
        raise UserError(f"{path}: needs {needed}; install them with: pip install 'ucf-vit[{extra}]'")
