"""Inventory of a data set: its items and their shapes, as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.lists import first_few
from ucf_vit.core.text import from_bytes, to_bytes
from ucf_vit.planning import npz_arrays

KIND = "inventory"
Shape = tuple[int, ...]
Stamp = tuple[int, int, int, int]
"""Size and modification time (ns) of image and label."""


@dataclass(frozen=True, eq=False)
class Inventory:
    """Items of a data set in order, with their names, shapes and file stamps.

    Args:
        names: names in UTF-8, one after the other; the name of item i ends at `ends[i]`.
        ends: `[N]`.
        shapes: `[N, 1 + d]`, `(C, *S)` of each item.
        stamps: `[N, 4]`, size and modification time (ns) of image and label; -1 if the header has to be read
            at every use.
        source: description of everything else that the shapes depend on.
    """

    names: NDArray[np.uint8]
    ends: NDArray[np.int64]
    shapes: NDArray[np.int64]
    stamps: NDArray[np.int64]
    source: str = ""

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, item: int) -> str:
        """Returns the name of item number `item`."""
        start = int(self.ends[item - 1]) if item else 0
        return from_bytes(bytes(self.names[start : int(self.ends[item])]))

    @property
    def digest(self) -> str:
        """Hash of names and shapes; it stays the same if a file is touched or copied."""
        hasher = hashlib.blake2b(digest_size=16)
        for array in (self.names, self.ends, self.shapes):
            hasher.update(str(array.shape).encode())
            hasher.update(np.ascontiguousarray(array).data)
        return hasher.hexdigest()

    def save(self, path: Path) -> None:
        """Writes the inventory to `path`. Raises UserError."""
        names = ("names", "ends", "shapes", "stamps")
        npz_arrays.save(path, KIND, {"source": self.source}, {name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, path: Path) -> Inventory:
        """Returns the inventory in the file `path`, as memory maps. Raises UserError."""
        metadata, arrays = npz_arrays.load(path, KIND, verify=True)
        try:
            return cls(**{**metadata, **arrays})
        except TypeError:
            raise npz_arrays.version_error(path, KIND) from None

    @classmethod
    def from_items(
        cls, names: Sequence[str], shapes: Sequence[Shape], stamps: Sequence[Stamp], source: str
    ) -> Inventory:
        """Returns the inventory of items given by their names, shapes and stamps."""
        encoded = [to_bytes(name) for name in names]
        return cls(
            names=np.frombuffer(b"".join(encoded), np.uint8),
            ends=np.cumsum([len(name) for name in encoded], dtype=np.int64),
            shapes=np.array(shapes, np.int64).reshape(len(names), -1),
            stamps=np.array(stamps, np.int64).reshape(len(names), 4),
            source=source,
        )


def describe_changes(old: Inventory, new: Inventory) -> list[str]:
    """Returns messages about items that are new, gone or of another shape, with the first few names."""
    before, after = ({one.name(i): tuple(one.shapes[i]) for i in range(len(one))} for one in (old, new))
    reshaped = [name for name, shape in after.items() if before.get(name, shape) != shape]
    changes = {
        "new": [name for name in after if name not in before],
        "gone": [name for name in before if name not in after],
        "of another shape": reshaped,
    }
    return [f"{len(names)} {change} ({first_few(names)})" for change, names in changes.items() if names]
