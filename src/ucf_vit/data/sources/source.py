"""Interface of a kind of data set: its items, their shapes, their arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.core.registry import Registry
from ucf_vit.data.arrays import ArraySpec
from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import Regrid, regrid
from ucf_vit.data.sources.listing import PassedOver
from ucf_vit.data.values.normalization import Normalization


@dataclass(frozen=True, slots=True)
class Item:
    """One image or volume with its label.

    `key` names it within its data set; `label` is the file with a class per voxel, `class_index` the class of
    the whole item. Index ranges are taken within each `stratum`. `step` is the number of the item in a file
    that contains several. Where each channel has a file of its own, `image` is that of the first channel and
    `channel_files` are those of the others. `group` is the patient or subject that the item comes from, and
    `split` the split ("training", "validation", "test") that its data set gives it, where the layout says so.
    """

    key: str
    image: str
    label: str | None = None
    stratum: str = ""
    class_index: int | None = None
    step: int = 0
    group: str = ""
    split: str = ""
    channel_files: tuple[str, ...] = ()


class Source(Protocol):
    """One data set on disk. Loader, planner and tools use this interface only.

    A subclass inherits the defaults below. Its constructor takes `root` and those of the options `variables`,
    `resize`, `fill_value`, `tile_dims` (number of axes of a tile), `scratch`, `files` (reads paths and URLs
    alike) and `label_geometry` that it needs. Data that cannot be used raises DataError; any other exception
    is turned into one.
    """

    variables: tuple[str, ...]
    """Names of the channels, in order."""
    spatial_dims: int
    """2 for images, 3 for volumes."""
    class_names: tuple[str, ...] = ()
    """Names of the classes of whole items; empty where items have none."""
    label_names: Mapping[int, str] = MappingProxyType({})
    """Names of the values that a label can hold, where the data set has them."""
    normalization: Normalization = Normalization()
    """Normalization of the values unless the configuration sets another one."""
    passed_over: PassedOver | None = None
    """Files that belong to no item, after `items` was called; None for a source that does not count them."""
    missing: bool = False
    """Whether NaN marks a missing value, which becomes 0 after normalization; else NaN is an error."""
    by_name: bool = False
    """Whether a variable is found by its name in the file; else channels are named in order."""
    arrays: Mapping[str, ArraySpec] = MappingProxyType({})
    """Arrays that `read` returns in `Sample.extra`, by name; names are Python identifiers."""
    file_options: Mapping[str, Any] | None = None
    """Options with which the source `files` reads one file as this source does; None: it can't."""
    made_with: Mapping[str, Any] | None = None
    """Options with which the stored values were made; None: those of the constructor."""

    def items(self) -> Sequence[Item]:
        """Returns all items, sorted: index ranges refer to this order."""
        raise NotImplementedError

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)` from the header only. Raises DataError for a label of another shape."""
        raise NotImplementedError

    def geometry(self, item: Item) -> Geometry | None:
        """Returns the grid of an item in space, from the header only; None for items that have none."""
        return None

    def grid(self, item: Item) -> Regrid | None:
        """Returns how the grid on which an item is stored was changed to that of `geometry`; None where items
        have no position in space.
        """
        geometry = self.geometry(item)
        return None if geometry is None else regrid(geometry, GridOptions())

    def parts(self, item: Item) -> Sequence[str]:
        """Returns paths or URLs of all files that decide an item's values."""
        return [file for file in (item.image, *item.channel_files, item.label) if file is not None]

    def remarks(self) -> Sequence[str]:
        """Returns remarks on the headers that were read, to be logged once; a sentence each, without a full
        stop.
        """
        return ()

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns the voxels of `region` (one slice per spatial axis; None: all) of `channels` (None: all).

        The arrays may be read-only views of a memory map in the stored type: the loader converts them while
        it copies them.
        """
        raise NotImplementedError


_NO_VALUES = ("root", "scratch", "files", "variables", "tile_dims", "label_geometry")


def value_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the constructor's arguments that change the values that a source reads."""
    return {name: value for name, value in given.items() if name not in _NO_VALUES and value is not None}


_HERE = "ucf_vit.data.sources"
SOURCES: Registry[Source] = Registry(
    "data source",
    "ucf_vit.sources",
    {
        "basic_ct": f"{_HERE}.layouts.basic_ct:BasicCT",
        "bids": f"{_HERE}.layouts.bids:Bids",
        "catsdogs": f"{_HERE}.catsdogs:CatsDogs",
        "csv": f"{_HERE}.layouts.table:Table",
        "dicom": f"{_HERE}.dicom:Dicom",
        "fields": f"{_HERE}.fields:Fields",
        "files": f"{_HERE}.layouts.separate_files:SeparateFiles",
        "imagenet": f"{_HERE}.imagenet:ImageNet",
        "kits": f"{_HERE}.layouts.kits:Kits",
        "msd": f"{_HERE}.layouts.msd:Msd",
        "nnunet_raw": f"{_HERE}.layouts.nnunet_raw:NnunetRaw",
        "npy_pairs": f"{_HERE}.npy_pairs:NpyPairs",
        "pairs": f"{_HERE}.layouts.image_masks:ImageMasks",
        "prepared": f"{_HERE}.prepared:Prepared",
        "tiff": f"{_HERE}.tiff:Tiff",
    },
    DataError,
)
"""Sources by the name that a config uses."""


def describe(source: Source, items: Sequence[Item]) -> str:
    """Returns a text such as `9 items, 1 without a label (a); 3 files passed over: 2 hidden (.a), ...`."""
    said, passed_over = f"{len(items)} items", getattr(source, "passed_over", None)
    bare = [item.key for item in items if item.label is None and item.class_index is None]
    if bare and len(bare) < len(items):
        said += f", {len(bare)} without a label ({first_few(bare)})"
    return f"{said}; {len(passed_over)} files passed over: {passed_over}" if passed_over else said
