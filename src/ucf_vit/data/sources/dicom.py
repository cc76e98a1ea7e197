"""DICOM series, read by pydicom (optional)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.batch import Sample
from ucf_vit.data.formats.dicom import Slice, decode, geometry_of, ordered, read_slice
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.limits import check_plain
from ucf_vit.data.sources.listing import OTHER, Listing
from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.decoded import decode_once
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization

SUFFIXES = (".dcm", ".ima", ".dicom")


class Dicom(Source):
    """Series below `root`, each a volume `[X, Y, Z]`: columns, rows, slices in order of position.

    Values are float32 with rescale slope and intercept applied slice by slice. There are no labels. Gaps,
    duplicates, shifted slices or slices of different sizes are errors. An item is named by its directory,
    with the UID of the series where a directory contains several; its group is the PatientID.
    """

    spatial_dims = 3
    class_names = ()
    file_options: Mapping[str, Any] = MappingProxyType({})
    normalization = Normalization("minmax")

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        if not importlib.util.find_spec("pydicom"):
            raise UserError(f"{root}: needs pydicom; install it with: pip install 'ucf-vit[dicom]'")
        if is_remote(str(root)):
            raise DataError(f"{root}: DICOM series are read from a local directory; copy them first")
        if len(variables) != 1:
            raise DataError(f"{root}: a series has 1 variable, got {', '.join(variables)}")
        self.root, self.variables = str(root), tuple(variables)
        self._scratch = scratch or Scratch()
        files = files or Files()
        self._limit = files.limit
        listing = Listing(self.root, files)
        self.passed_over = listing.passed_over
        self._series = _grouped(_headers(listing, self._limit))
        self._items = [
            Item(key, _first(parts), group=_patient(parts)) for key, parts in sorted(self._series.items())
        ]

    def items(self) -> Sequence[Item]:
        """Returns one item per series, sorted by directory."""
        return self._items

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(1, columns, rows, slices)` from the headers."""
        slices = ordered(self._series[item.key])
        return (1, *slices[0].shape, len(slices))

    def geometry(self, item: Item) -> Geometry:
        """Returns the grid of the series from the headers."""
        return geometry_of(ordered(self._series[item.key]))

    def parts(self, item: Item) -> Sequence[str]:
        """Returns all files of the series."""
        return [one.path for one in self._series[item.key] if isinstance(one, Slice)]

    def slices(self, item: Item) -> Sequence[str]:
        """Returns the files of the series in the order of the last axis of its volume."""
        return [one.path for one in ordered(self._series[item.key])]

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns a view `[1, *region]` of the volume, which is decoded once per machine."""
        slices = ordered(self._series[item.key])
        size = 4 * slices[0].shape[0] * slices[0].shape[1] * len(slices)
        key = [(str(Path(one.path).absolute()), one.stamp) for one in slices]
        volume = decode_once(lambda: decode(slices, self._limit), size, self._scratch, "dicom", key)
        return Sample(volume[None][(slice(None), *(region or ()))], None, self.variables, item.image)


def _headers(listing: Listing, limit: int) -> Mapping[str, Slice | DataError]:
    """Returns the header, or its error, of each image file below the root by name; other files are passed
    over.
    """
    everything = listing.walk("", lambda name: True, deep=True)
    look = partial(_look, limit=limit)
    headers: dict[str, Slice | DataError] = {}
    for (name, _), one in zip(
        everything, map_in_threads(look, [path for _, path in everything]), strict=True
    ):
        if isinstance(one, str):
            listing.passed_over.add(one, name)
        else:
            headers[name] = one
    if not headers:
        raise DataError(f"{listing.root}: no DICOM image found in it or below{listing.more}")
    return headers


def _look(path: str, limit: int) -> Slice | DataError | str:
    """Returns the header of a file, its error, or the kind of a file that is no image."""
    return read_slice(path, limit) if is_dicom(path) else OTHER


def is_dicom(path: str) -> bool:
    """Returns whether a file is DICOM by its suffix or its first bytes."""
    name = Path(path).name
    if name.upper() == "DICOMDIR":
        return False
    if name.lower().endswith(SUFFIXES):
        return True
    try:
        check_plain(path)
        with Path(path).open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except DataError:
        return False
    except OSError:  # which is said when its header is read
        return True


def _grouped(headers: Mapping[str, Slice | DataError]) -> Mapping[str, Sequence[Slice | DataError]]:
    """Returns the headers of each series; a file that can't be read makes the series of its directory
    invalid.
    """
    folders: dict[str, dict[str, list[Slice | DataError]]] = {}
    for name, one in headers.items():
        series = one.series if isinstance(one, Slice) else ""
        folder = name.rpartition("/")[0] or "."
        folders.setdefault(folder, {}).setdefault(series, []).append(one)
    grouped: dict[str, list[Slice | DataError]] = {}
    for folder, by_series in folders.items():
        broken = by_series.pop("", [])
        for series, parts in (by_series or {"": []}).items():
            grouped[folder if len(by_series) < 2 else f"{folder}/{series}"] = [*broken, *parts]
    return grouped


def _first(parts: Sequence[Slice | DataError]) -> str:
    return next((one.path for one in parts if isinstance(one, Slice)), str(parts[0]).partition(": ")[0])


def _patient(parts: Sequence[Slice | DataError]) -> str:
    return next((one.patient for one in parts if isinstance(one, Slice)), "")
