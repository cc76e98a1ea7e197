"""Variables in a NetCDF file or a Zarr store, by xarray, an optional package."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError

ENGINES = {".nc": "netcdf4", ".nc4": "netcdf4", ".cdf": "netcdf4", ".zarr": "zarr"}
"""xarray's engine by the end of a name."""
EXTRAS = {"netcdf4": ("netcdf", ("xarray", "netCDF4")), "zarr": ("zarr", ("xarray", "zarr"))}
"""Of each engine: the extra of this package that installs it, and what has to be there."""
_one_at_a_time = threading.Lock()
"""The NetCDF library is not safe for threads."""


class XarrayFile:
    """The variables of a dataset; missing values by the file's own attributes are NaN, scales are applied.

    They are in the order of the file, or `by_name` where that is the order of some directory.
    """

    def __init__(self, dataset: Any, by_name: bool = False) -> None:
        self._dataset = dataset
        names = sorted(dataset.variables) if by_name else list(dataset.variables)
        variables = {name: dataset.variables[name] for name in names}
        self.shapes = {
            str(name): tuple(map(int, variable.shape))
            for name, variable in variables.items()
            if variable.dtype.kind in "biuf"
        }

    def read(self, name: str, where: tuple[Any, ...]) -> NDArray[Any]:
        """An array; xarray reads this part alone (of Zarr: the chunks that it touches)."""
        return np.asarray(self._dataset.variables[name][where].values)


@contextmanager
def open_dataset(path: str) -> Iterator[XarrayFile]:
    """The dataset at `path`, open for as long as the context: no handle is left to be shared by a fork.

    Raises UserError where a package is missing.
    """
    engine = next(engine for suffix, engine in ENGINES.items() if path.endswith(suffix))
    need(engine, path)
    import xarray

    options = {"consolidated": False} if engine == "zarr" else {}
    with (
        _one_at_a_time,
        xarray.open_dataset(
            path, engine=engine, decode_times=False, decode_timedelta=False, cache=False, **options
        ) as dataset,
    ):
        yield XarrayFile(dataset, by_name=engine == "zarr")


def need(engine: str, path: str) -> None:
    """UserError where a package that reads `path` is missing."""
    extra, packages = EXTRAS[engine]
    if not all(map(importlib.util.find_spec, packages)):
        needed = " and ".join(packages)
        raise UserError(f"{path}: needs {needed}; install them with: pip install 'ucf-vit[{extra}]'")
