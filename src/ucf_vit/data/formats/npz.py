"""Variables in a .npz file, without reading more of it than is asked for."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ucf_vit.data.scratch import Scratch

STACK, NAMES = "data", "variables"
"""One array of all variables `[T, C, *S]`, and the array `[C]` of their names."""


class Header(NamedTuple):
    """What an array's own header says; `start` is where its values begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int


class NpzFile:
    """One array per variable, or one array `data` `[T, C, *S]` with the names of its channels in `variables`.

    Uncompressed arrays are read through a memory map. Compressed ones are decompressed once into scratch
    files, or, without room for these, at every read.
    """

    def __init__(self, archive: zipfile.ZipFile, path: str, scratch: Scratch, url: str | None = None) -> None:
        self._archive = archive
        self._path = path
        self._url = url
        self._scratch = scratch
        self._headers = {
            info.filename.removesuffix(".npy"): self._header(info)
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        self._stacked = self._names()
        found = {name: header.shape for name, header in self._headers.items() if header.dtype.kind in "biuf"}
        if self._stacked:
            steps, _, *space = found.pop(STACK)
            found |= dict.fromkeys(self._stacked, (steps, *space))
        self.shapes = found

    def read(self, name: str, where: tuple[Any, ...]) -> NDArray[Any]:
        """A view of the memory map, or an array."""
        if name not in self._stacked:
            return self._array(name)[where]
        step, *space = where
        return self._array(STACK)[(step, self._stacked[name], *space)]

    def _names(self) -> dict[str, int]:
        """Channel by name of a stacked array; empty where there is none."""
        if not {STACK, NAMES} <= self._headers.keys() or self._headers[NAMES].dtype.kind not in "US":
            return {}
        names = [str(name) for name in self._array(NAMES).astype(str)]
        shape = self._headers[STACK].shape
        if len(shape) < 3 or len(set(names)) != len(names) or shape[1] != len(names):
            raise ValueError(
                f"{STACK} {shape} has {len(names)} names in {NAMES}; expected [T, C, ...], C different names"
            )
        return {name: channel for channel, name in enumerate(names)}

    def _header(self, info: zipfile.ZipInfo) -> Header:
        with self._archive.open(info) as stream:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            return Header(*read(stream), stream.tell())

    def _array(self, name: str) -> NDArray[Any]:
        info, header = self._archive.getinfo(f"{name}.npy"), self._headers[name]
        if info.compress_type == zipfile.ZIP_STORED:
            return _mapped(self._path, header, self._start(info) + header.start)

        def make(path: Path) -> None:
            with self._archive.open(info) as stream, path.open("wb") as copy:
                shutil.copyfileobj(stream, copy, 2**20)

        copied = self._scratch.file(make, info.file_size, ".npy", *self._state(), name)
        if copied is not None:
            return _mapped(str(copied), header, header.start)
        with self._archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)

    def _state(self) -> tuple[object, ...]:
        """Names the present content: the name of a copy does."""
        path = Path(self._path).absolute()
        if self._url is not None:
            return (str(path),)
        stat = path.stat()
        return str(path), stat.st_size, stat.st_mtime_ns

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Where the content of a member begins: after its local header, whose length is in itself."""
        file = _stream(self._archive)
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
        return info.header_offset + 30 + int(name) + int(extra)


@contextmanager
def open_npz(path: str, scratch: Scratch, url: str | None = None) -> Iterator[NpzFile]:
    """The file at `path`, a copy of `url`; arrays that were read stay usable after it is closed."""
    with zipfile.ZipFile(path) as archive:
        yield NpzFile(archive, path, scratch, url)


def _stream(archive: zipfile.ZipFile) -> IO[bytes]:
    if archive.fp is None:
        raise ValueError("the file is closed")
    return archive.fp


def _mapped(path: str, header: Header, start: int) -> NDArray[Any]:
    if header.dtype.hasobject:
        raise ValueError("holds Python objects; expected arrays of numbers")
    if 0 in header.shape:
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", start, header.shape, "F" if header.fortran else "C")
