"""Shared memory through which workers hand batches to the main process; it is used again and again.

Sending each batch in new shared memory, as DataLoader does, costs more than reading it: every page is mapped,
zeroed and faulted in on both sides (64^3 tiles with labels: 4.4 ms in the worker and 1.2 ms in the main
process, where reading takes 1.5 ms).
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
"""`image` `[B, C, *S]`, `label` `[B, *S]` or `[B]` if there are labels, and the tensors of the trees."""


class BatchPart(NamedTuple):
    """One tensor of a batch: shape of a row, type in the batch, and type in shared memory."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    shared: torch.dtype

    def nbytes(self, rows: int) -> int:
        """Returns the bytes of `rows` rows in shared memory, rounded up to the next tensor's alignment."""
        return -(-rows * math.prod(self.shape) * self.shared.itemsize // 8) * 8


@dataclass(frozen=True)
class BatchLayout:
    """Tensors that a batch consists of, by name."""

    parts: Mapping[str, BatchPart]

    def nbytes(self, rows: int) -> int:
        """Returns the bytes of a batch of `rows` rows in shared memory."""
        return sum(part.nbytes(rows) for part in self.parts.values())

    def new(self, rows: int, pinned: bool) -> Tensors:
        """Returns uninitialised tensors for `rows` rows."""
        return {
            name: torch.empty((rows, *part.shape), dtype=part.dtype, pin_memory=pinned)
            for name, part in self.parts.items()
        }

    def view(self, memory: Tensor, rows: int) -> Tensors:
        """Returns views of the first `rows` rows in `memory` (bytes), where the tensors follow each other."""
        tensors, begin = {}, 0
        for name, part in self.parts.items():
            size = rows * math.prod(part.shape) * part.shared.itemsize
            tensors[name] = memory[begin : begin + size].view(part.shared).view(rows, *part.shape)
            begin += part.nbytes(rows)
        return tensors


class SharedSlots:
    """`count` slots of shared memory, each large enough for `rows` rows of any of the `layouts`.

    Raises DataError where they are larger than the machine's memory.

    The main process chooses the slot for each request, and copies a slot's batch before it sends the next
    request for the same slot: no lock is needed.
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
        """Returns views of a slot's memory with the layout of group number `group`."""
        memory = torch.frombuffer(self._memory, dtype=torch.uint8)[slot * self.size : (slot + 1) * self.size]
        return self.layouts[group].view(memory, rows)

    def mark(self, slot: int, process: int, group: int = 0, tile: int = 0) -> None:
        """Records which process reads which tile into a slot; process 0 stands for none."""
        self._marks[3 * slot : 3 * slot + 3] = [process, group, tile]

    def read_by(self, processes: Collection[int]) -> list[tuple[int, int]]:
        """Returns group and tile that each of these processes is reading."""
        marks = [self._marks[3 * slot : 3 * slot + 3] for slot in range(self.count)]
        return [(group, tile) for process, group, tile in marks if process in processes]
