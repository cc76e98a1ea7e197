"""NIfTI files: header only, or an array of which only the touched part is read."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.storage import Files, is_remote

SUFFIXES = (".nii", ".nii.gz")
_HEADER = 540
_PACKED_HEADER = 4096
"""Bytes of a compressed file in which its header is, unless it begins with long remarks."""
_BROKEN = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def read_shape(path: str, files: Files | None = None) -> tuple[int, ...]:
    """The stored shape `[X, Y, Z]` or `[X, Y, Z, C]`, from the first few hundred bytes. Raises DataError.

    An image `[X, Y]` is a volume one voxel thick.
    """
    shape = _header(path, files).get_data_shape()
    shape = (*shape, 1) if len(shape) == 2 else shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise DataError(
            f"{path}: expected a volume [X, Y, Z] or [X, Y, Z, C], found the shape {tuple(shape)}"
        )
    return tuple(map(int, shape))


def _header(path: str, files: Files | None) -> nibabel.Nifti1Header:
    try:
        start = _remote_start(path, files or Files()) if is_remote(path) else _start(Path(path))
        kind = nibabel.Nifti2Header if _starts_with(start, 540) else nibabel.Nifti1Header
        if len(start) < kind.sizeof_hdr:
            raise EOFError(f"it ends after {len(start)} bytes")
        return kind(start[: kind.sizeof_hdr], check=True)
    except _BROKEN as error:
        raise DataError(f"{path}: no readable NIfTI header ({cause(error)})") from error


def _start(path: Path) -> bytes:
    opened: Callable[..., Any] = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rb") as stream:
        return bytes(stream.read(_HEADER))


def _remote_start(url: str, files: Files) -> bytes:
    """The first bytes of a remote file; it is fetched whole where they do not suffice."""
    if not url.endswith(".gz"):
        return files.head(url, _HEADER)
    with suppress(zlib.error):
        unpacked = zlib.decompressobj(wbits=31).decompress(files.head(url, _PACKED_HEADER), _HEADER)
        if len(unpacked) == _HEADER:
            return unpacked
    return files.using(url, _start)


def _starts_with(start: bytes, number: int) -> bool:
    return start[:4] in (number.to_bytes(4, "little"), number.to_bytes(4, "big"))


def cause(error: BaseException) -> str:
    """One line that says what went wrong."""
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class Volume:
    """A stored volume: `raw` `[C, X, Y, Z]` as on disk, whose values mean `raw * slope + intercept`."""

    raw: NDArray[Any]
    slope: float
    intercept: float
    mapped: bool

    def values(self, channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
        """`[C, *region]`: a view where nothing has to be computed, else float32."""
        part = _pick(self.raw, channels, region)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return part
        part = part.astype(np.float32)
        part *= np.float32(self.slope)
        part += np.float32(self.intercept)
        return part


def _pick(raw: NDArray[Any], channels: Sequence[int], region: tuple[slice, ...]) -> NDArray[Any]:
    first = channels[0]
    if list(channels) == list(range(first, first + len(channels))):
        return raw[(slice(first, first + len(channels)), *region)]
    return raw[(slice(None), *region)][list(channels)]


def _open(path: Path) -> Volume:
    data = nibabel.load(path).dataobj
    raw = data.get_unscaled()
    if raw.dtype.kind not in "biuf":
        raise ValueError(f"expected one real number per voxel, found the type {raw.dtype}")
    if raw.ndim < 2:
        raise ValueError(f"expected a volume [X, Y, Z] or [X, Y, Z, C], found the shape {raw.shape}")
    array = np.asarray(raw).reshape((*raw.shape, 1)[:3] + (-1,) * (raw.ndim > 3), order="F")
    channels_first = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    return Volume(channels_first, float(data.slope), float(data.inter), isinstance(raw, np.memmap))


class Volumes:
    """Open NIfTI volumes of one process: a compressed file is decompressed once, into the scratch directory.

    Volumes are memory maps: only the voxels used are read and none is kept. At most `keep` stay open.
    Without room for scratch files the last two (image and label) are held in memory instead. Of remote files
    the copies that `files` gives are used, and decompressed beside these.
    """

    def __init__(self, scratch: Scratch, keep: int = 32, files: Files | None = None) -> None:
        self.scratch = scratch
        self.keep = keep
        self.files = files or Files()
        self._open: OrderedDict[str, Volume] = OrderedDict()

    def read(self, path: str) -> Volume:
        """The volume stored at `path`. Raises DataError with the cause where it can't be read."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        try:
            volume = self._load(path)
        except _BROKEN as error:
            raise DataError(f"{path}: {cause(error)}") from error
        self._open[path] = volume
        held = [name for name, other in self._open.items() if not other.mapped]
        for name in {*held[:-2], *list(self._open)[: -self.keep]}:
            del self._open[name]
        return volume

    def _load(self, path: str) -> Volume:
        if not path.endswith(".gz"):
            return self.files.using(path, _open)
        while (plain := self._decompressed(path)) is not None:
            with suppress(FileNotFoundError):  # another process may have needed the room
                return _open(plain)
        return self.files.using(path, _open)

    def _decompressed(self, path: str) -> Path | None:
        remote = is_remote(path)
        stamp = self.files.stamp(path) if remote else _stamp(Path(path))
        header = _header(path, self.files)
        size = int(np.prod(header.get_data_shape())) * header.get_data_dtype().itemsize
        scratch = self.files.cache.scratch if remote else self.scratch

        def make(out: Path) -> None:
            self.files.using(path, lambda packed: _gunzip(packed, out))

        return scratch.file(make, size, ".nii", path, *stamp, checked=remote)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _gunzip(path: Path, out: Path) -> None:
    with gzip.open(path) as packed, out.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 2**20)
