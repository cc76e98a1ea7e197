"""Worker processes that fill batches ahead of time: torch's DataLoader with slots of shared memory."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ucf_vit.core.errors import DataError
from ucf_vit.data.loader.shared_memory import SharedSlots, Tensors
from ucf_vit.data.loader.tileset import Filled, TileSet
from ucf_vit.data.order.epoch_order import Request

LOCKS = 4
"""Upper bound on the locks of a queue of multiprocessing."""


class Workers:
    """`count` processes, each of which fills up to `prefetch` batches of at most `rows` rows ahead of time.

    They start with the first batch and stay for all epochs until `close`. Batches come in the order of the
    requests.
    """

    def __init__(
        self,
        tiles: TileSet,
        rows: int,
        count: int,
        prefetch: int,
        start_method: str | None,
    ) -> None:
        self._context = multiprocessing.get_context(start_method)
        with _sharing():
            self._slots = SharedSlots(self._context, tiles.layouts, rows, count * prefetch + 2)
        self._tiles = tiles
        self._count = count
        self._prefetch = prefetch
        self._requests = _Numbered(self._slots.count)
        self._loader: DataLoader[Filled] | None = None
        self._filled: Iterator[Filled] = iter(())

    def run(self, requests: Iterable[Request], pinned: bool) -> Iterator[tuple[Filled, Tensors]]:
        """Yields each filled request with new tensors. Raises DataError where a process ends unexpectedly."""
        if self._loader is None:
            self._loader = self._start()
        self._requests.pending = requests
        with _termination_waits():
            self._filled = iter(self._loader)
        while (filled := self._next()) is not None:
            yield filled, self._copy(filled, pinned)

    def close(self) -> None:
        """Ends the processes; `run` starts new ones.

        The garbage collector would do the same, but torch then waits 5 s.
        """
        self._filled = iter(())
        self._loader = None

    def _start(self) -> DataLoader[Filled]:
        with _sharing():  # the locks of its queues: without room for them torch breaks half-way
            locks = [self._context.Lock() for _ in range(LOCKS * (self._count + 2))]
        del locks
        return DataLoader(
            _InSlots(self._tiles, self._slots),
            batch_size=None,
            sampler=self._requests,
            collate_fn=_as_is,
            num_workers=self._count,
            prefetch_factor=self._prefetch,
            persistent_workers=True,
            multiprocessing_context=self._context,
            generator=torch.Generator(),
            worker_init_fn=_leave_signals,
        )

    def _next(self) -> Filled | None:
        try:
            return next(self._filled, None)
        except RuntimeError as error:
            if (death := self.death(error)) is None:
                raise
            raise death from error

    def death(self, error: RuntimeError) -> DataError | None:
        """Returns the DataError for an error by which torch reports that a process died, else None.

        torch raises it wherever the main thread is at that time.
        """
        text = str(error)
        if "DataLoader worker" not in text:
            return None
        return DataError(
            f"a loader process ended unexpectedly{self._place(text)}, often for lack of memory ({text}): "
            "lower data.num_workers or data.batch_size"
        )

    def _place(self, text: str) -> str:
        """Returns which tiles were being read by the processes whose ids are in torch's message."""
        reading = self._slots.read_by([int(number) for number in re.findall(r"\d+", text)])
        places = [f"tile {tile} of {self._tiles.readers[group].file(tile)}" for group, tile in reading]
        return f" at {', '.join(places)}" if places else ""

    def _copy(self, filled: Filled, pinned: bool) -> Tensors:
        rows = len(filled.items)
        tensors = self._slots.layouts[filled.group].new(rows, pinned)
        for name, shared in self._slots.tensors(filled.slot, filled.group, filled.rows).items():
            tensors[name].copy_(shared[:rows])
        return tensors


class _InSlots(Dataset[Filled]):
    """Dataset of a worker: fills the slot that comes with a request."""

    def __init__(self, tiles: TileSet, slots: SharedSlots) -> None:
        self.tiles = tiles
        self.slots = slots

    def __getitem__(self, numbered: tuple[int, Request]) -> Filled:
        slot, request = numbered
        tensors = self.slots.tensors(slot, request.group, len(request.tiles))
        mark = partial(self.slots.mark, slot, os.getpid(), request.group)
        filled = self.tiles.fill(request, tensors, slot, before=mark)
        self.slots.mark(slot, 0)
        return filled


class _Numbered(Sampler[tuple[int, Request]]):
    """Sampler of the `pending` requests with slot numbers in turn."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.pending: Iterable[Request] = ()

    def __iter__(self) -> Iterator[tuple[int, Request]]:
        for number, request in enumerate(self.pending):
            yield number % self.slots, request


@contextmanager
def _sharing() -> Iterator[None]:
    """Raises DataError where shared memory or locks can't be allocated."""
    try:
        yield
    except OSError as cause:
        raise DataError(
            f"loader processes can't be started: shared memory is full (/dev/shm: {cause.strerror}): give it "
            "more, as with docker run --shm-size, or set data.num_workers=0"
        ) from None


@contextmanager
def _termination_waits() -> Iterator[None]:
    """Blocks SIGTERM while processes start.

    They inherit the blocked signal; otherwise it would end them before `_leave_signals` has run.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals(worker: int) -> None:
    """Ignores the signals that a scheduler sends to all processes of a job; the main process handles them."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None and hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_the_parent_says, args=(parent.pid,), daemon=True).start()


def _end_when_the_parent_says(parent: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _as_is(filled: Filled) -> Filled:
    return filled
