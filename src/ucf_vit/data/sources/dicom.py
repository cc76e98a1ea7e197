"""DICOM series, by pydicom, an optional package."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.urls import is_remote
from ucf_vit.data.batch import Sample
from ucf_vit.data.decoded import decoded
from ucf_vit.data.dicom import Slice, decode, ordered, read_slice
from ucf_vit.data.limits import check_plain
from ucf_vit.data.normalization import Normalization
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources.source import SOURCES, Item, Source
from ucf_vit.data.storage import Files
from ucf_vit.planning.inventory import in_threads

SUFFIXES = (".dcm", ".ima", ".dicom")


@SOURCES.register("dicom")
class Dicom(Source):
    """Each series below `root` is a volume `[X, Y, Z]`: columns, rows, slices in order of position.

    Values are float32, with rescale slope and intercept applied slice by slice. There are no labels. A series
    with gaps, double, shifted or unequal slices is an error. An item is named by its directory, with the UID
    of the series where a directory has several.
    """

    spatial_dims = 3
    class_names = ()
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
        self._limit = (files or Files()).limit
        self._series = _grouped(self.root, _files(self.root), self._limit)
        self._items = [Item(key, _first(parts)) for key, parts in sorted(self._series.items())]

    def items(self) -> Sequence[Item]:
        """One item per series, sorted by directory."""
        return self._items

    def shape(self, item: Item) -> tuple[int, ...]:
        """`(1, columns, rows, slices)` from the headers."""
        slices = ordered(self._series[item.key])
        return (1, *slices[0].shape, len(slices))

    def parts(self, item: Item) -> Sequence[str]:
        """All files of the series."""
        return [one.path for one in self._series[item.key] if isinstance(one, Slice)]

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """A view `[1, *region]` of the volume, which is decoded once."""
        slices = ordered(self._series[item.key])
        size = 4 * slices[0].shape[0] * slices[0].shape[1] * len(slices)
        key = [(str(Path(one.path).absolute()), one.stamp) for one in slices]
        volume = decoded(lambda: decode(slices, self._limit), size, self._scratch, "dicom", key)
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


def _grouped(root: str, files: Sequence[str], limit: int) -> Mapping[str, Sequence[Slice | DataError]]:
    """What is known of the files of each series; a file that can't be read spoils those of its directory."""
    folders: dict[str, dict[str, list[Slice | DataError]]] = {}
    for path, one in zip(files, in_threads(partial(read_slice, limit=limit), files), strict=True):
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
