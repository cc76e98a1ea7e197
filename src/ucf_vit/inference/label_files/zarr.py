"""Labels as a Zarr array (optional)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import naming
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import LabelClass, LabelFormat, geometry_of

_CHUNK = 128
_HEADER = "zarr.json"
"""File in every array of format 3."""


class Zarr(LabelFormat):
    """A directory `NAME.zarr`: an array in chunks of 128 voxels along each axis, with the affine in mm.

    The attributes are `affine`, `[4, 4]` in the axes of NIfTI, and `classes`, their names by number.
    """

    name, dims, package, extra = "zarr", (2, 3), "zarr", "zarr"

    def suffix(self, case: Case) -> str:
        """Returns `.zarr`."""
        return ".zarr"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the directory, which is complete when it appears.

        Raises UserError where something else than an array has its name.
        """
        import zarr

        if path.exists() and not (path / _HEADER).is_file():
            raise UserError(f"{path}: exists, and is no Zarr array; remove it, or name another place")
        temporary = path.with_name(f".{path.name}.tmp")
        with naming(path):
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                chunks = tuple(min(_CHUNK, side) for side in labels.shape)
                array = zarr.create_array(temporary, shape=labels.shape, dtype=labels.dtype, chunks=chunks)
                array[...] = labels
                array.attrs["affine"] = geometry_of(case).affine.tolist()
                array.attrs["classes"] = [one.name for one in classes]
                if path.exists():
                    shutil.rmtree(path)
                temporary.rename(path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
