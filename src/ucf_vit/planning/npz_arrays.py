"""Uncompressed .npz files with metadata, whose arrays are read as memory maps."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import replace_atomic

Arrays = Mapping[str, NDArray[Any]]
_METADATA = "about"


def save(path: Path, kind: str, metadata: Mapping[str, Any], arrays: Arrays) -> None:
    """Writes `arrays` and `metadata` (JSON) to `path`; the file is complete or as it was before.

    Raises UserError if the file can't be written.
    """
    header = np.frombuffer(json.dumps({"kind": kind, **metadata}, indent=1).encode(), np.uint8)
    content: dict[str, Any] = {_METADATA: header, **arrays}
    try:
        with replace_atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from None


def version_error(path: Path, kind: str) -> UserError:
    """Returns the error for a readable file that lacks expected entries."""
    return UserError(f"{path}: {kind} of another version; remove it and plan anew")


def load(path: Path, kind: str, verify: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Returns the metadata and arrays in `path`; arrays are memory maps, read only where they are used.

    With `verify`, the whole file is read and compared with its checksums. Raises UserError if there is no
    such file or it is not a file of this `kind`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if verify and (damaged := archive.testzip()):
                raise ValueError(f"{damaged} is damaged")
            arrays = {
                info.filename.removesuffix(".npy"): _map(path, archive, info) for info in archive.infolist()
            }
        metadata = json.loads(arrays.pop(_METADATA).tobytes())
        if metadata.pop("kind") != kind:
            raise ValueError("it is of another kind")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with: ucf-vit plan") from None
    except Exception as error:  # damaged files make the libraries raise exceptions of any type
        raise UserError(f"{path}: not a readable {kind} ({error}); remove it and plan anew") from None
    return metadata, arrays


def _map(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Returns a memory map of a stored member: after its local header and .npy header come the values."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its arrays are compressed")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26x2H", file.read(30))
        file.seek(name_length + extra_length, os.SEEK_CUR)
        is_version_1 = npy.read_magic(file) == (1, 0)
        read_header = npy.read_array_header_1_0 if is_version_1 else npy.read_array_header_2_0
        shape, fortran_order, dtype = read_header(file)
        start = file.tell()
    end = start + int(np.prod(shape)) * dtype.itemsize
    if dtype.hasobject or fortran_order or end > path.stat().st_size:
        raise ValueError(f"{info.filename} is cut off, or no array of numbers")
    return np.memmap(path, dtype, "r", start, shape) if 0 not in shape else np.empty(shape, dtype)
