"""Weighted sums of predictions by cell, in memory up to a limit and in a file beyond it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.patching.sliding_window.windows import Cell


class CellSums:
    """Sums `[B, K + 1, *S]` of the cells that still wait for a window; the last channel is that of weights.

    At most `limit` bytes of them are in memory. Beyond, the sums whose next window is the last to come are
    written to a temporary file in `directory`: sums wait there that are not needed for the longest time.
    """

    def __init__(self, limit: float, directory: Path | None = None) -> None:
        self._limit = limit
        self._directory = directory
        self._sums: dict[Cell, Tensor] = {}
        self._next: dict[Cell, int] = {}
        self._used = 0
        self._file: IO[bytes] | None = None
        self._places: dict[Cell, tuple[int, torch.Size, torch.device]] = {}
        self._free: dict[int, list[int]] = {}
        self._end = 0

    def __enter__(self) -> CellSums:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._sums) + len(self._places)

    def take(self, cell: Cell) -> Tensor | None:
        """Returns the sums of a cell and forgets them; None for a cell without any."""
        if cell in self._places:
            return self._read(cell)
        sums = self._sums.pop(cell, None)
        if sums is not None:
            self._used -= sums.nbytes
            del self._next[cell]
        return sums

    def put(self, cell: Cell, sums: Tensor, next_window: int) -> None:
        """Keeps the sums of a cell until window `next_window`."""
        self._sums[cell], self._next[cell] = sums, next_window
        self._used += sums.nbytes
        while self._used > self._limit and self._sums:
            self._write(max(self._next, key=self._next.__getitem__))

    def close(self) -> None:
        """Removes the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, cell: Cell) -> None:
        sums = self.take(cell)
        assert sums is not None
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115
        free = self._free.get(sums.nbytes)
        place = free.pop() if free else self._end
        self._end = max(self._end, place + sums.nbytes)
        self._file.seek(place)
        _write_all(self._file, sums.cpu().contiguous().numpy())
        self._places[cell] = (place, sums.shape, sums.device)

    def _read(self, cell: Cell) -> Tensor:
        place, shape, device = self._places.pop(cell)
        assert self._file is not None
        self._file.seek(place)
        array = np.empty(tuple(shape), np.float32)
        _read_all(self._file, array)
        self._free.setdefault(array.nbytes, []).append(place)
        return torch.from_numpy(array).to(device)


def _write_all(file: IO[bytes], array: NDArray[np.float32]) -> None:
    rest = memoryview(array.data).cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def _read_all(file: IO[bytes], array: NDArray[np.float32]) -> None:
    rest = memoryview(array.data).cast("B")
    while rest:
        rest = rest[file.readinto(rest) :]  # type: ignore[attr-defined]
