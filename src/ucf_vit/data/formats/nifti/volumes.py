"""Open NIfTI volumes: memory maps of which only the part that is used is read."""

from __future__ import annotations

import gzip
import io
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.formats.nifti.header import NiftiHeader, read_header
from ucf_vit.data.reading import reading
from ucf_vit.data.storage import Files, is_remote
from ucf_vit.data.storage.scratch import Scratch

_BLOCK = 2**20
_TRAILING = 2**20
"""Bytes that may follow the last voxel of a compressed file: some programs pad."""


@dataclass(frozen=True)
class Volume:
    """Stored volume: `raw` `[C, X, Y, Z]` as on disk, with values `raw * slope + intercept`."""

    raw: NDArray[Any]
    slope: float
    intercept: float
    mapped: bool

    @property
    def scaled(self) -> np.dtype[Any]:
        """Type of computed values: float32 if it can hold all of them, else float64."""
        exact = np.result_type(self.raw.dtype, np.float32)
        info = np.iinfo if self.raw.dtype.kind in "iu" else np.finfo
        largest = 2 * float(info(self.raw.dtype).max) * abs(self.slope) + abs(self.intercept)
        least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
        return exact if largest < most and abs(self.slope) >= least else np.dtype(np.float64)

    def values(self, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """Returns `[C, *region]`: a view where nothing has to be computed, else float32 or float64."""
        part = _pick(self.raw, channels, region)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return part
        part = part.astype(self.scaled)
        part *= part.dtype.type(self.slope)
        part += part.dtype.type(self.intercept)
        return part


def _pick(raw: NDArray[Any], channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
    first = channels[0]
    if list(channels) == list(range(first, first + len(channels))):
        return raw[(slice(first, first + len(channels)), *region)]
    return raw[(slice(None), *region)][list(channels)]


class Volumes:
    """Open NIfTI volumes of one process; a compressed file is decompressed once, into the scratch directory.

    Volumes are memory maps: only the voxels used are read and none is kept. At most `keep` stay open. Without
    room for scratch files the last two (image and label) are held in memory instead. Remote files are copied
    by `files` and decompressed next to the copies.
    """

    def __init__(self, scratch: Scratch, keep: int = 32, files: Files | None = None) -> None:
        self.scratch = scratch
        self.keep = keep
        self.files = files or Files()
        self._open: OrderedDict[str, Volume] = OrderedDict()

    def read(self, path: str) -> Volume:
        """Returns the volume stored at `path`. Raises DataError with the cause where it can't be read."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        with reading(path):
            volume = self._load(path, read_header(path, self.files))
        self._open[path] = volume
        held = [name for name, other in self._open.items() if not other.mapped]
        for name in {*held[:-2], *list(self._open)[: -self.keep]}:
            del self._open[name]
        return volume

    def _load(self, path: str, header: NiftiHeader) -> Volume:
        if not path.lower().endswith(".gz"):
            return self.files.using(path, lambda file: _mapped(file, header))
        self.files.check_size(path, header.size)
        while (plain := self._decompressed(path, header)) is not None:
            with suppress(FileNotFoundError):  # another process may have needed the room
                return _mapped(plain, header)
        return self.files.using(path, lambda file: _held(file, header))

    def _decompressed(self, path: str, header: NiftiHeader) -> Path | None:
        remote = is_remote(path)
        scratch = self.files.cache.scratch if remote else self.scratch

        def make(out: Path) -> None:
            with out.open("wb") as plain:
                self.files.using(path, lambda packed: _gunzip(packed, plain, header.size))

        key = path if remote else str(Path(path).absolute())
        return scratch.file(make, header.size, ".nii", key, *self.files.stamp(path), checked=remote)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _mapped(path: Path, header: NiftiHeader) -> Volume:
    if (size := path.stat().st_size) < header.size:
        raise EOFError(f"it ends after {size:,} bytes, its header says {header.size:,}")
    raw = np.memmap(path, header.dtype, "r", header.offset, header.shape, order="F")
    return _volume(raw, header, mapped=True)


def _held(path: Path, header: NiftiHeader) -> Volume:
    unpacked = io.BytesIO()
    _gunzip(path, unpacked, header.size)
    raw = np.ndarray(header.shape, header.dtype, unpacked.getbuffer(), header.offset, order="F")
    return _volume(raw, header, mapped=False)


def _volume(raw: NDArray[Any], header: NiftiHeader, mapped: bool) -> Volume:
    channels_first = np.moveaxis(raw, -1, 0) if raw.ndim == 4 else raw[None]
    return Volume(channels_first, header.slope, header.intercept, mapped)


def _gunzip(path: Path, plain: IO[bytes], size: int) -> None:
    """Unpacks the first `size` bytes to `plain`, and reads to the checksum that follows."""
    plain.seek(0)
    with gzip.open(path) as packed:
        left = size
        while left and (block := packed.read(min(_BLOCK, left))):
            plain.write(block)
            left -= len(block)
        if left:
            raise EOFError(f"it ends after {size - left:,} unpacked bytes, its header says {size:,}")
        trailing = 0
        while block := packed.read(_BLOCK):
            trailing += len(block)
            if trailing > _TRAILING:
                raise ValueError(f"it unpacks to more than the {size:,} bytes that its header says")
