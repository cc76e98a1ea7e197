"""Variables in a .npz file; only what is requested is read."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.formats.npy import NpyHeader, mapped, read_header
from ucf_vit.data.limits import check_size
from ucf_vit.data.storage.scratch import Scratch

STACK, NAMES = "data", "variables"
"""Names of one array of all variables `[T, C, *S]`, and of the array `[C]` of their names."""
_BLOCK = 2**20
_REMEMBERED = 10_000
_good: set[tuple[object, ...]] = set()
"""Members whose checksum this process has recently verified."""


class NpzFile:
    """One array per variable, or one array `data` `[T, C, *S]` with the names of its channels in `variables`.

    Uncompressed arrays are read through a memory map after their checksum was verified once per machine.
    Compressed arrays are decompressed once into scratch files or, without room for these, at every read.
    Arrays of more than `limit` bytes are refused.
    """

    def __init__(
        self, archive: zipfile.ZipFile, path: str, scratch: Scratch, limit: int, url: str | None = None
    ) -> None:
        self._archive = archive
        self._path = path
        self._url = url
        self._scratch = scratch
        self._limit = limit
        self._headers = {
            info.filename.removesuffix(".npy"): self._header(info)
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        self._stacked = self._names()
        shapes = {name: header.shape for name, header in self._headers.items() if header.dtype.kind in "biuf"}
        if self._stacked:
            steps, _, *space = shapes.pop(STACK)
            shapes |= dict.fromkeys(self._stacked, (steps, *space))
        self.shapes = shapes

    def read(self, name: str, where: tuple[Any, ...]) -> NDArray[Any]:
        """Returns a view of the memory map, or an array."""
        if name not in self._stacked:
            return self._array(name)[where]
        step, *space = where
        return self._array(STACK)[(step, self._stacked[name], *space)]

    def _names(self) -> dict[str, int]:
        """Returns the channel of each name in a stacked array; empty where there is none."""
        if not {STACK, NAMES} <= self._headers.keys() or self._headers[NAMES].dtype.kind not in "US":
            return {}
        names = [str(name) for name in self._array(NAMES).astype(str)]
        shape = self._headers[STACK].shape
        if len(shape) < 3 or len(set(names)) != len(names) or shape[1] != len(names):
            raise ValueError(
                f"{STACK} {shape} has {len(names)} names in {NAMES}; expected [T, C, ...], C different names"
            )
        return {name: channel for channel, name in enumerate(names)}

    def _header(self, info: zipfile.ZipInfo) -> NpyHeader:
        with self._archive.open(info) as stream:
            header = read_header(stream)
        if header.size != info.file_size and not header.dtype.hasobject:
            raise ValueError(f"{info.filename} has {info.file_size:,} bytes, its header says {header.size:,}")
        return header

    def _array(self, name: str) -> NDArray[Any]:
        info, header = self._archive.getinfo(f"{name}.npy"), self._headers[name]
        if header.dtype.hasobject:
            raise ValueError(f"{name} holds Python objects; expected an array of numbers")
        if info.compress_type == zipfile.ZIP_STORED:
            self._check(info)
            return mapped(self._path, header, self._start(info))
        check_size(f"{self._url or self._path}: {name}", header.size, self._limit)

        def make(path: Path) -> None:
            with path.open("wb") as copy:
                self._unpack(info, copy)

        copied = self._scratch.file(make, info.file_size, ".npy", *self._state, name)
        if copied is not None:
            return mapped(copied, header)
        with self._archive.open(info) as stream:
            values = bytearray(stream.read())
        return np.ndarray(header.shape, header.dtype, values, header.start, order=header.order)

    def _check(self, info: zipfile.ZipInfo) -> None:
        """Verifies the checksum of a member once. Raises BadZipFile where it is wrong."""

        def make(path: Path) -> None:
            self._unpack(info, None)
            path.touch()

        key = (*self._state, info.filename)
        if key in _good:
            return
        if self._scratch.file(make, 1, ".good", *key) is None:
            self._unpack(info, None)
        if len(_good) >= _REMEMBERED:
            _good.clear()
        _good.add(key)

    def _unpack(self, info: zipfile.ZipInfo, out: IO[bytes] | None) -> None:
        """Reads a member to its end, where `zipfile` verifies the checksum; never beyond its size."""
        with self._archive.open(info) as stream:
            while block := stream.read(_BLOCK):
                if out is not None:
                    out.write(block)

    @cached_property
    def _state(self) -> tuple[object, ...]:
        """Key of the current contents; for a copy its name is enough."""
        path = Path(self._path).absolute()
        if self._url is not None:
            return (str(path),)
        stat = path.stat()
        return str(path), stat.st_size, stat.st_mtime_ns

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Returns the first byte of a member's content, after its local header of variable length."""
        file = _stream(self._archive)
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
        return info.header_offset + 30 + int(name) + int(extra)


@contextmanager
def open_npz(path: str, scratch: Scratch, limit: int, url: str | None = None) -> Iterator[NpzFile]:
    """Opens the file at `path`, a copy of `url`; arrays that were read stay valid after it is closed."""
    with zipfile.ZipFile(path) as archive:
        yield NpzFile(archive, path, scratch, limit, url)


def _stream(archive: zipfile.ZipFile) -> IO[bytes]:
    if archive.fp is None:
        raise ValueError("the file is closed")
    return archive.fp
