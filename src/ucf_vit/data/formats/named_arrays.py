"""Several named arrays in one file that can be memory-mapped: each is a .npy behind a line with its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from ucf_vit.data.formats import npy


def save_named(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays whose names have no line breaks."""
    with path.open("wb") as stream:
        for name, array in arrays.items():
            stream.write(f"{name}\n".encode())
            npy_format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)


def map_named(path: Path) -> dict[str, NDArray[Any]]:
    """Returns memory maps of the arrays that `save_named` wrote."""
    arrays: dict[str, NDArray[Any]] = {}
    with path.open("rb") as stream:
        while name := stream.readline().decode().rstrip("\n"):
            start = stream.tell()
            header = npy.read_header(stream)
            arrays[name] = npy.mapped(path, header, start)
            stream.seek(start + header.size)
    return arrays
