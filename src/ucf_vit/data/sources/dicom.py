"""DICOM series, by pydicom, an optional package."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.urls import is_remote
from ucf_vit.data.batch import Sample
from ucf_vit.data.decoded import decoded
from ucf_vit.data.normalization import Normalization
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources.source import SOURCES, Item, Source
from ucf_vit.planning.inventory import in_threads

SUFFIXES = (".dcm", ".ima", ".dicom")
TAGS = (
    *("SeriesInstanceUID", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
)
TOLERANCE = 0.01
"""Distances between neighbours may differ by this share: positions are rounded in files."""
SAME = 1e-3
"""Slices are not closer than this, in mm."""
_BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Slice:
    """A file of a series: what has to be the same in all of them, and where it lies along their normal."""

    path: str
    stamp: tuple[int, int]
    series: str
    shape: tuple[int, int]
    spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    position: float


@SOURCES.register("dicom")
class Dicom(Source):
    """Each series below `root` is a volume `[X, Y, Z]`: columns, rows, slices in order of position.

    Values are float32, with rescale slope and intercept applied slice by slice. There are no labels. A series
    with gaps, double or unequal slices is an error. An item is named by its directory, with the UID of the
    series where a directory has several.
    """

    spatial_dims = 3
    class_names = ()
    normalization = Normalization("minmax")

    def __init__(
        self, root: str | Path, variables: Sequence[str] = ("intensity",), scratch: Scratch | None = None
    ) -> None:
        if not importlib.util.find_spec("pydicom"):
            raise UserError(f"{root}: needs pydicom; install it with: pip install 'ucf-vit[dicom]'")
        if is_remote(str(root)):
            raise DataError(f"{root}: DICOM series are read from a local directory; copy them first")
        if len(variables) != 1:
            raise DataError(f"{root}: a series has 1 variable, got {', '.join(variables)}")
        self.root, self.variables = str(root), tuple(variables)
        self._scratch = scratch or Scratch()
        self._series = _grouped(self.root, _files(self.root))
        self._items = [Item(key, _first(parts)) for key, parts in sorted(self._series.items())]

    def items(self) -> Sequence[Item]:
        """One item per series, sorted by directory."""
        return self._items

    def shape(self, item: Item) -> tuple[int, ...]:
        """`(1, columns, rows, slices)` from the headers."""
        slices = _ordered(self._series[item.key])
        return (1, *slices[0].shape, len(slices))

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """A view `[1, *region]` of the volume, which is decoded once."""
        slices = _ordered(self._series[item.key])
        size = 4 * slices[0].shape[0] * slices[0].shape[1] * len(slices)
        key = [(one.path, one.stamp) for one in slices]
        volume = decoded(lambda: _decode(slices), size, self._scratch, "dicom", key)
        return Sample(volume[None][(slice(None), *(region or ()))], None, self.variables, item.image)


def _files(root: str) -> list[str]:
    """Files below `root` that are DICOM by their suffix or their beginning."""
    if not Path(root).is_dir():
        raise DataError(f"{root}: no such directory")
    found = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]  # noqa: PTH118
    kept = [path for path, good in zip(found, in_threads(_is_dicom, found), strict=True) if good]
    if not kept:
        raise DataError(f"{root}: no DICOM file there or below")
    return sorted(kept)


def _is_dicom(path: str) -> bool:
    name = Path(path).name
    if name.startswith(".") or name == "DICOMDIR":
        return False
    with Path(path).open("rb") as file:
        return name.lower().endswith(SUFFIXES) or file.read(132)[128:] == b"DICM"


def _grouped(root: str, files: Sequence[str]) -> Mapping[str, Sequence[Slice | DataError]]:
    """What is known of the files of each series; a file that can't be read spoils those of its directory."""
    folders: dict[str, dict[str, list[Slice | DataError]]] = {}
    for path, one in zip(files, in_threads(_slice, files), strict=True):
        series = one.series if isinstance(one, Slice) else ""
        folders.setdefault(str(Path(path).parent), {}).setdefault(series, []).append(one)
    found: dict[str, list[Slice | DataError]] = {}
    for folder, by_series in folders.items():
        broken = by_series.pop("", [])
        for series, parts in (by_series or {"": []}).items():
            key = Path(folder).relative_to(root).as_posix()
            key = key if len(by_series) < 2 else f"{key}/{series}"
            found[key] = [*broken, *parts]
    return found


def _first(parts: Sequence[Slice | DataError]) -> str:
    return next((one.path for one in parts if isinstance(one, Slice)), str(parts[0]).partition(": ")[0])


def _slice(path: str) -> Slice | DataError:
    """From the header alone; what is wrong with it where it can't be used."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        stat = Path(path).stat()
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS), force=False)
        missing = [tag for tag in TAGS[:3] + TAGS[5:8] if found.get(tag) is None]
        if missing or found.get("NumberOfFrames", 1) != 1 or found.get("SamplesPerPixel", 1) != 1:
            expected = "expected a grey slice with its place in space"
            raise ValueError(f"has no {missing[0]}; {expected}" if missing else f"not one slice; {expected}")
        across = [float(value) for value in found.ImageOrientationPatient]
        normal = np.cross(across[:3], across[3:])
        return Slice(
            path,
            (stat.st_size, stat.st_mtime_ns),
            str(found.SeriesInstanceUID),
            (int(found.Columns), int(found.Rows)),
            tuple(float(value) for value in found.PixelSpacing),
            tuple(across),
            float(normal @ np.asarray(found.ImagePositionPatient, float)),
        )
    except (*_BROKEN, InvalidDicomError) as error:
        return DataError(f"{path}: no usable DICOM header ({error})")


def _ordered(parts: Sequence[Slice | DataError]) -> list[Slice]:
    """The slices by position. DataError where they are not the slices of one evenly spaced volume."""
    for one in parts:
        if isinstance(one, DataError):
            raise one
    slices = sorted((one for one in parts if isinstance(one, Slice)), key=lambda one: one.position)
    first = slices[0]
    for one in slices:
        same = np.allclose(one.orientation, first.orientation, atol=1e-4)
        if one.shape != first.shape or not same or not np.allclose(one.spacing, first.spacing):
            raise DataError(
                f"{one.path}: another size, spacing or orientation than {first.path}, of its series"
            )
    gaps = np.diff([one.position for one in slices])
    usual = float(np.median(gaps)) if len(gaps) else 1.0
    for gap, one, other in zip(gaps.tolist(), slices, slices[1:], strict=False):
        if gap <= SAME:
            raise DataError(f"{other.path}: lies at the same place as {one.path}")
        if abs(gap - usual) > TOLERANCE * usual:
            number = round(gap / usual) - 1
            cause = f"{number} slice(s) missing" if number > 0 else f"{gap:g} mm, not {usual:g},"
            raise DataError(f"{other.path}: {cause} between it and {one.path}, the slice before it")
    return slices


def _decode(slices: Sequence[Slice]) -> NDArray[Any]:
    """`[X, Y, Z]` float32. DataError with the file that can't be decoded."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    volume = np.empty((len(slices), *reversed(slices[0].shape)), np.float32)
    for plane, one in zip(volume, slices, strict=True):
        try:
            found = pydicom.dcmread(one.path)
            plane[...] = found.pixel_array
            plane *= np.float32(found.get("RescaleSlope", 1))
            plane += np.float32(found.get("RescaleIntercept", 0))
        except (*_BROKEN, InvalidDicomError) as error:
            raise DataError(f"{one.path}: can't be decoded ({error})") from error
    return volume.T
