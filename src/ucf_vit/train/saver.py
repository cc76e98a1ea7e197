"""Saving by all ranks together, at once or beside the training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.parallel.pieces import Piece, pieces_to_write
from ucf_vit.parallel.world import World
from ucf_vit.train import checkpoint

log = logging.getLogger(__name__)


class Saver:
    """Writes checkpoints, one at a time; every method is collective.

    With `beside`, a thread writes copies while the training goes on. What goes wrong there is raised by the
    next `save`, by `wait`, or at the end of the context, all of which wait for it. `on_save(name, seconds)`
    is told how long the training stood still.
    """

    def __init__(self, world: World, beside: bool = False) -> None:
        self.world = world.beside() if beside else world
        self.layout = world
        self.on_save: Callable[[str, float], None] = lambda name, seconds: None
        self._thread = ThreadPoolExecutor(1, "checkpoint") if beside else None
        self._pending: Future[None] | None = None

    def save(
        self,
        directory: Path,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: dict[str, Any],
        meta: Mapping[str, Any],
        *,
        keep: bool = False,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Write a checkpoint of what all ranks hold of `tensors`, by kind and name.

        `keep` is that of `checkpoint.commit`; `after` is called on the first rank once it is there.
        CheckpointError on every rank where one of them cannot write.
        """
        began = time.perf_counter()
        self.wait()
        self.layout.on_main(lambda: _guarded(directory, lambda: checkpoint.prepare(directory)))
        parts = {kind: pieces_to_write(named, self.layout) for kind, named in tensors.items()}

        def commit(sums: Mapping[str, str]) -> None:
            checkpoint.commit(directory, meta, sums, keep)
            after()

        if self._thread is None:
            self._write(directory, parts, state, commit)
        else:
            copies = {
                kind: {name: _copy(piece) for name, piece in pieces.items()} for kind, pieces in parts.items()
            }
            self._pending = self._thread.submit(self._write, directory, copies, state, commit)
        self.on_save(directory.name, time.perf_counter() - began)

    def wait(self) -> None:
        """Return once what was saved is on the disk, or raise what went wrong."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception as other:
            if error is None:
                raise
            log.warning("the last checkpoint was not written: %s", other)
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    def _write(
        self,
        directory: Path,
        parts: Mapping[str, Mapping[str, Piece]],
        state: dict[str, Any],
        commit: Callable[[Mapping[str, str]], None],
    ) -> None:
        rank, ranks = self.world.rank, self.world.size
        sums: dict[str, str] = {}
        problem = ""
        try:
            _guarded(directory, lambda: sums.update(checkpoint.write(directory, parts, state, rank, ranks)))
        except UserError as error:
            problem = str(error)
        outcomes = self.world.gather((sums, problem))
        if problems := [problem for _, problem in outcomes if problem]:
            raise CheckpointError(problems[0])
        merged = {name: value for found, _ in outcomes for name, value in found.items()}
        self.world.on_main(lambda: _guarded(directory, lambda: commit(merged)))


def _copy(piece: Piece) -> Piece:
    return replace(piece, tensor=piece.tensor.to("cpu", copy=True))


def _guarded(directory: Path, work: Callable[[], None]) -> None:
    try:
        work()
    except (OSError, RuntimeError, SafetensorError) as cause:
        raise CheckpointError(f"{directory}: cannot be written ({cause}); the other slot is intact") from None
