"""How tensors get from workers to the main process: through memory that is shared and used again.

Sending each batch in new shared memory, as DataLoader does, costs more than reading it: every page is mapped,
zeroed and faulted in on both sides (64^3 tiles with labels: 4.4 ms in the worker, 1.2 in the main process,
where reading takes 1.5).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import NamedTuple

import torch
from rich.filesize import decimal
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.core.memory import memory_here

Tensors = dict[str, Tensor]
"""`image` `[B, C, *S]`, `label` `[B, *S]` or `[B]` if there are labels, and what trees are made of."""


class BatchPart(NamedTuple):
    """One tensor of a batch: its shape without the rows, its type, and its type on the way."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    shared: torch.dtype

    def nbytes(self, rows: int) -> int:
        """Bytes on the way of so many rows, up to where the next part may begin."""
        return -(-rows * math.prod(self.shape) * self.shared.itemsize // 8) * 8


@dataclass(frozen=True)
class BatchLayout:
    """What a batch is made of, by name."""

    parts: Mapping[str, BatchPart]

    def nbytes(self, rows: int) -> int:
        """Bytes of a batch of `rows` on the way."""
        return sum(part.nbytes(rows) for part in self.parts.values())

    def new(self, rows: int, pinned: bool) -> Tensors:
        """Uninitialised tensors for `rows` rows."""
        return {
            name: torch.empty((rows, *part.shape), dtype=part.dtype, pin_memory=pinned)
            for name, part in self.parts.items()
        }

    def view(self, memory: Tensor, rows: int) -> Tensors:
        """The first `rows` rows in `memory` (bytes), part after part."""
        tensors, begin = {}, 0
        for name, part in self.parts.items():
            size = rows * math.prod(part.shape) * part.shared.itemsize
            tensors[name] = memory[begin : begin + size].view(part.shared).view(rows, *part.shape)
            begin += part.nbytes(rows)
        return tensors


class SharedSlots:
    """`count` pieces of shared memory, each with room for a batch of `rows` rows of any of the `layouts`.

    Raises DataError where they are more than the machine's memory.

    The main process says with each request which slot to fill, and copies a slot out before it sends the
    request that uses it next: nothing has to be locked.
    """

    def __init__(self, context: BaseContext, layouts: Sequence[BatchLayout], rows: int, count: int) -> None:
        self.layouts = list(layouts)
        self.count = count
        self.size = -(-max(layout.nbytes(rows) for layout in layouts) // 64) * 64
        have = memory_here()
        if have is not None and self.size * count > have:
            raise DataError(
                f"{count} batches of {rows} tiles, filled ahead, take {decimal(self.size * count)}; there is "
                f"{decimal(have)}: lower data.batch_size or data.num_workers"
            )
        self._memory = context.RawArray("B", self.size * count)
        self._marks = context.RawArray("q", 3 * count)

    def tensors(self, slot: int, group: int, rows: int) -> Tensors:
        """Views of the memory of a slot, laid out for group number `group`."""
        memory = torch.frombuffer(self._memory, dtype=torch.uint8)[slot * self.size : (slot + 1) * self.size]
        return self.layouts[group].view(memory, rows)

    def mark(self, slot: int, process: int, group: int = 0, tile: int = 0) -> None:
        """Say which process reads which tile for a slot; process 0: none does."""
        self._marks[3 * slot : 3 * slot + 3] = [process, group, tile]

    def read_by(self, processes: Collection[int]) -> list[tuple[int, int]]:
        """Group and tile that each of these processes is at."""
        marks = [self._marks[3 * slot : 3 * slot + 3] for slot in range(self.count)]
        return [(group, tile) for process, group, tile in marks if process in processes]
