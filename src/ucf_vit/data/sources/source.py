"""What a kind of data set has to say about itself: its items, their shapes, their arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ucf_vit.core.registry import Registry
from ucf_vit.data.batch import Sample
from ucf_vit.data.sources.listing import PassedOver, few
from ucf_vit.data.values.normalization import Normalization


@dataclass(frozen=True, slots=True)
class Item:
    """One image or volume with what belongs to it.

    `key` names it within its data set; `label` is the file with a class per voxel, `class_index` the class of
    the whole. Index ranges are taken within each `stratum`. `step` numbers the items of a file that holds
    several.
    """

    key: str
    image: str
    label: str | None = None
    stratum: str = ""
    class_index: int | None = None
    step: int = 0


class Source(Protocol):
    """One data set on disk. The loader, the planner and the tools ask this object and nothing else.

    A class that inherits from this one gets the defaults below. Its constructor takes `root` and those of the
    options `variables`, `resize`, `fill_value`, `tile_dims` (sides of a tile), `scratch`, `files` (what reads
    paths and URLs alike), `label_geometry` that it needs. What cannot be used raises DataError; whatever else
    is raised becomes one.
    """

    variables: tuple[str, ...]
    """Names of the channels, in order."""
    spatial_dims: int
    """2 for images, 3 for volumes."""
    class_names: tuple[str, ...] = ()
    """Names of the classes of whole items; empty where items have none."""
    normalization: Normalization = Normalization()
    """What is done to the values unless the configuration says otherwise."""
    passed_over: PassedOver | None = None
    """Files that belong to no item, once `items` were listed; None of a source that does not count them."""
    missing: bool = False
    """Whether NaN marks a missing value, which becomes 0 after normalisation; elsewhere NaN is an error."""
    by_name: bool = False
    """Whether a variable is found by its name; else names are given to the channels in order."""
    made_with: Mapping[str, Any] | None = None
    """Options that the values were made with before; None: those of the constructor."""

    def items(self) -> Sequence[Item]:
        """All items, sorted: index ranges are taken on this order."""
        raise NotImplementedError

    def shape(self, item: Item) -> tuple[int, ...]:
        """`(C, *S)` from the header alone; refuses a label of another shape."""
        raise NotImplementedError

    def parts(self, item: Item) -> Sequence[str]:
        """Paths or URLs of the files that decide an item's values, when these are more than its own two."""
        return [file for file in (item.image, item.label) if file is not None]

    def remarks(self) -> Sequence[str]:
        """Notes on the headers that were read, to be told once; a sentence each, without a dot."""
        return ()

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """The voxels of `region` (one slice per spatial axis; None: all) of `channels` (None: all).

        The arrays may be read-only views of a memory map and of the stored type: the loader converts while it
        copies them.
        """
        raise NotImplementedError


_NO_VALUES = ("root", "scratch", "files", "variables", "tile_dims", "label_geometry")


def value_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a constructor's arguments that change the values that a source gives."""
    return {name: value for name, value in given.items() if name not in _NO_VALUES and value is not None}


SOURCES: Registry[Source] = Registry("data source")


def describe(source: Source, items: Sequence[Item]) -> str:
    """`9 items, 1 without a label (a); 3 files passed over: 2 hidden (.a, .b), 1 other files (notes.txt)`."""
    said, passed_over = f"{len(items)} items", getattr(source, "passed_over", None)
    bare = [item.key for item in items if item.label is None and item.class_index is None]
    if bare and len(bare) < len(items):
        said += f", {len(bare)} without a label ({few(bare)})"
    return f"{said}; {len(passed_over)} files passed over: {passed_over}" if passed_over else said
