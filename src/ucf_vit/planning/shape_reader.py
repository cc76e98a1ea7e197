"""Shapes of the items of a data set; only headers of new and changed files are read."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from ucf_vit.core.errors import UserError
from ucf_vit.core.threads import map_in_threads
from ucf_vit.planning.inventory import Inventory, Shape, Stamp

_UNKNOWN = (-1, -1)
_Entry = tuple[Stamp, Shape]


class InventoryItem(Protocol):
    """Item of a data set."""

    @property
    def key(self) -> str:
        """Name of the item within the data set."""

    @property
    def image(self) -> str:
        """File of the image."""

    @property
    def label(self) -> str | None:
        """File of the label."""


Item = TypeVar("Item", bound=InventoryItem)


@dataclass
class ShapeReader:
    """Reader of the shapes of a data set's items, which keeps them in an inventory at `path`.

    `stamp` returns size and modification time of a file (-1, -1 if unknown). After a call of `shapes`,
    `inventory` is that of the items and `read` the number of headers that were read.
    """

    path: Path
    source: str
    stamp: Callable[[str], tuple[int, int]] | None = None
    read: int = 0
    inventory: Inventory | None = field(default=None, repr=False)

    def shapes(
        self, items: Sequence[Item], read: Callable[[Item], Shape | Exception]
    ) -> list[Shape | Exception]:
        """Returns `(C, *S)` of each item, or the error that reading it gave.

        Calls `read` in threads for items whose shape is not in the inventory. Errors are not kept, so that
        these items are read again the next time.
        """
        stamps, known = _stamps(items, self.stamp or file_stamp), self._load()
        shapes: list[Shape | Exception | None] = [
            _known_shape(known.get(item.key), stamp) for item, stamp in zip(items, stamps, strict=True)
        ]
        missing = [number for number, shape in enumerate(shapes) if shape is None]
        for number, shape in zip(missing, map_in_threads(read, [items[n] for n in missing]), strict=True):
            shapes[number] = shape
        self.read = len(missing)
        valid = [(n, shape) for n, shape in enumerate(shapes) if isinstance(shape, tuple)]
        valid = [(n, shape) for n, shape in valid if len(shape) == len(valid[0][1])]
        self.inventory = Inventory.from_items(
            [items[n].key for n, _ in valid],
            [shape for _, shape in valid],
            [stamps[n] for n, _ in valid],
            self.source,
        )
        return [shape for shape in shapes if shape is not None]

    def save(self) -> None:
        """Writes the inventory. Raises UserError."""
        if self.inventory is not None:
            self.inventory.save(self.path)

    def _load(self) -> dict[str, _Entry]:
        """Returns stamps and shape by name; nothing if the file is missing, damaged or of another source."""
        try:
            inventory = Inventory.load(self.path)
        except UserError:
            return {}
        if inventory.source != self.source:
            return {}
        names = (inventory.name(number) for number in range(len(inventory)))
        stamps, shapes = inventory.stamps.tolist(), inventory.shapes.tolist()
        return dict(zip(names, zip(map(tuple, stamps), map(tuple, shapes), strict=True), strict=True))


def file_stamp(file: str) -> tuple[int, int]:
    """Returns size and modification time (ns) of a file; (-1, -1) if it is not a regular file."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return _UNKNOWN
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else _UNKNOWN


def _stamps(items: Sequence[InventoryItem], stamp: Callable[[str], tuple[int, int]]) -> list[Stamp]:
    files = list(dict.fromkeys(file for item in items for file in (item.image, item.label) if file))
    known = dict(zip(files, map_in_threads(stamp, files), strict=True))
    return [(*known[item.image], *(known[item.label] if item.label else (0, 0))) for item in items]


def _known_shape(entry: _Entry | None, stamp: Stamp) -> Shape | None:
    """Returns the shape of an inventory entry if the files have not changed since, otherwise None."""
    return entry[1] if entry is not None and entry[0] == stamp and -1 not in stamp else None
