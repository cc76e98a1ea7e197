"""The files of a data set and their shapes, kept so that only new and changed headers are read."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.core.text import from_bytes, to_bytes
from ucf_vit.planning import npz_arrays

KIND = "inventory"
THREADS = 16
_UNKNOWN = (-1, -1)
_Stamp = tuple[int, int, int, int]
Shape = tuple[int, ...]
_Entry = tuple[_Stamp, Shape]


class InventoryItem(Protocol):
    """What a data set says of one of its items."""

    @property
    def key(self) -> str:
        """Its name within the data set."""

    @property
    def image(self) -> str:
        """Its file."""

    @property
    def label(self) -> str | None:
        """The file of its labels."""


AnyItem = TypeVar("AnyItem", bound=InventoryItem)
Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Inventory:
    """Items of a data set in order: their `names` in UTF-8, one after the other, item i's up to `ends[i]`.

    `ends` is `[N]`, `shapes` `[N, 1 + d]` `(C, *S)`, `stamps` `[N, 4]`: size and time of change (ns) of image
    and label; -1 where the header is to be read at every use. `source` says what the shapes depend on.
    """

    names: NDArray[np.uint8]
    ends: NDArray[np.int64]
    shapes: NDArray[np.int64]
    stamps: NDArray[np.int64]
    source: str = ""

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, item: int) -> str:
        """Name of item number `item`."""
        first = int(self.ends[item - 1]) if item else 0
        return from_bytes(bytes(self.names[first : int(self.ends[item])]))

    @property
    def digest(self) -> str:
        """Changes when an item comes, goes or has another shape; not when a file is touched or copied."""
        hashed = hashlib.blake2b(digest_size=16)
        for array in (self.names, self.ends, self.shapes):
            hashed.update(str(array.shape).encode())
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()

    def save(self, path: Path) -> None:
        """Write it to `path`. Raises UserError."""
        names = ("names", "ends", "shapes", "stamps")
        npz_arrays.save(path, KIND, {"source": self.source}, {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, path: Path) -> Inventory:
        """What was saved, through memory maps. Raises UserError."""
        about, parts = npz_arrays.load(path, KIND, whole=True)
        try:
            return cls(**{**about, **parts})
        except TypeError:
            raise npz_arrays.other_version(path, KIND) from None

    @classmethod
    def of(
        cls, names: Sequence[str], shapes: Sequence[Shape], stamps: Sequence[_Stamp], source: str
    ) -> Inventory:
        """From Python's own."""
        encoded = [to_bytes(name) for name in names]
        return cls(
            names=np.frombuffer(b"".join(encoded), np.uint8),
            ends=np.cumsum([len(name) for name in encoded], dtype=np.int64),
            shapes=np.array(shapes, np.int64).reshape(len(names), -1),
            stamps=np.array(stamps, np.int64).reshape(len(names), 4),
            source=source,
        )


@dataclass
class Keeper:
    """Reads the shapes of a data set's items by way of the inventory at `path`.

    After `shapes`, `inventory` is that of the items, and `read` says how many headers were read. `stamp`
    gives size and time of change of a file (-1, -1: unknown).
    """

    path: Path
    source: str
    stamp: Callable[[str], tuple[int, int]] | None = None
    read: int = 0
    inventory: Inventory | None = field(default=None, repr=False)

    def shapes(
        self, items: Sequence[AnyItem], read: Callable[[AnyItem], Shape | Exception]
    ) -> list[Shape | Exception]:
        """`(C, *S)` of each item, or what is wrong with it; `read` in threads where the inventory has none.

        What is wrong is never kept, so that it is looked at again.
        """
        stamps, known = _stamps(items, self.stamp or stamp), self._known()
        found: list[Shape | Exception | None] = [
            _held(known.get(item.key), stamp) for item, stamp in zip(items, stamps, strict=True)
        ]
        missing = [number for number, shape in enumerate(found) if shape is None]
        for number, shape in zip(missing, in_threads(read, [items[n] for n in missing]), strict=True):
            found[number] = shape
        self.read = len(missing)
        good = [(n, shape) for n, shape in enumerate(found) if isinstance(shape, tuple)]
        good = [(n, shape) for n, shape in good if len(shape) == len(good[0][1])]
        self.inventory = Inventory.of(
            [items[n].key for n, _ in good],
            [shape for _, shape in good],
            [stamps[n] for n, _ in good],
            self.source,
        )
        return [shape for shape in found if shape is not None]

    def save(self) -> None:
        """Write the inventory. Raises UserError."""
        if self.inventory is not None:
            self.inventory.save(self.path)

    def _known(self) -> dict[str, _Entry]:
        """Stamps and shape by name; nothing where the file is missing, broken or of another source."""
        try:
            held = Inventory.load(self.path)
        except UserError:
            return {}
        if held.source != self.source:
            return {}
        names = (held.name(number) for number in range(len(held)))
        entries = zip(map(tuple, held.stamps.tolist()), map(tuple, held.shapes.tolist()), strict=True)
        return dict(zip(names, entries, strict=True))


def in_threads(
    call: Callable[[Given], Found], values: Sequence[Given], threads: int = THREADS
) -> list[Found]:
    """`call` of each value, in order, by threads: what waits for files waits together."""
    size = min(256, -(-len(values) // threads) or 1)
    chunks = [values[first : first + size] for first in range(0, len(values), size)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        parts = pool.map(lambda chunk: [call(value) for value in chunk], chunks)
        return [found for part in parts for found in part]


def _stamps(items: Sequence[InventoryItem], stamp: Callable[[str], tuple[int, int]]) -> list[_Stamp]:
    files = list(dict.fromkeys(file for item in items for file in (item.image, item.label) if file))
    known = dict(zip(files, in_threads(stamp, files), strict=True))
    return [(*known[item.image], *(known[item.label] if item.label else (0, 0))) for item in items]


def stamp(file: str) -> tuple[int, int]:
    """Size and time of change; unknown for what is no plain file, such as a directory of chunks."""
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        return _UNKNOWN
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else _UNKNOWN


def _held(entry: _Entry | None, stamp: _Stamp) -> Shape | None:
    """The shape, if the files are as they were."""
    return entry[1] if entry is not None and entry[0] == stamp and -1 not in stamp else None


def difference(then: Inventory, now: Inventory) -> list[str]:
    """What is not as it was, in words, with the names of the first few items."""
    before, after = ({one.name(i): tuple(one.shapes[i]) for i in range(len(one))} for one in (then, now))
    changed = [name for name, shape in after.items() if before.get(name, shape) != shape]
    kinds = {
        "new": [name for name in after if name not in before],
        "gone": [name for name in before if name not in after],
        "of another shape": changed,
    }
    return [f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
