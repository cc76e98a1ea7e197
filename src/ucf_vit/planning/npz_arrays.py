"""Arrays in a plain .npz file, of which a process reads only the part that it needs."""

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

Arrays = Mapping[str, NDArray[Any]]
_HEAD = "about"


def save(path: Path, kind: str, about: Mapping[str, Any], arrays: Arrays) -> None:
    """Write `arrays` and what there is to say `about` them (JSON); complete, or as it was before.

    Raises UserError where the file can't be written.
    """
    head = np.frombuffer(json.dumps({"kind": kind, **about}, indent=1).encode(), np.uint8)
    content: dict[str, Any] = {_HEAD: head, **arrays}
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                np.savez(file, **content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from None


def other_version(path: Path, kind: str) -> UserError:
    """The error for a whole file without what is expected in it."""
    return UserError(f"{path}: {kind} of another version; remove it and plan anew")


def load(path: Path, kind: str, whole: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `save` wrote; the arrays are memory maps, so that only what is touched is read.

    With `whole` all is read and compared with its checksums. Raises UserError if there is no such file or it
    is something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if whole and (damaged := archive.testzip()):
                raise ValueError(f"{damaged} is damaged")
            found = {
                info.filename.removesuffix(".npy"): _map(path, archive, info) for info in archive.infolist()
            }
        about = json.loads(found.pop(_HEAD).tobytes())
        if about.pop("kind") != kind:
            raise ValueError("it is of another kind")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with: ucf-vit plan") from None
    except Exception as error:  # what readers of a damaged file raise is anything
        raise UserError(f"{path}: not a readable {kind} ({error}); remove it and plan anew") from None
    return about, found


def _map(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """A member that lies in the file as it is: its local header, an .npy header, the values."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its arrays are compressed")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
        file.seek(name + extra, os.SEEK_CUR)
        read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        start = file.tell()
    if dtype.hasobject or fortran or start + int(np.prod(shape)) * dtype.itemsize > path.stat().st_size:
        raise ValueError(f"{info.filename} is cut off, or no array of numbers")
    return np.memmap(path, dtype, "r", start, shape) if 0 not in shape else np.empty(shape, dtype)
