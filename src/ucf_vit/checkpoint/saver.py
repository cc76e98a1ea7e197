"""Saver of checkpoints by all ranks together, optionally in the background."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from safetensors import SafetensorError
from torch import Tensor

from ucf_vit import checkpoint
from ucf_vit.checkpoint.find import last_number
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.tensor_pieces import TensorPiece, pieces_to_write

log = logging.getLogger(__name__)
T = TypeVar("T")


class Saver:
    """Writes checkpoints, one at a time; every method is collective.

    With `in_background` a thread writes copies while training continues. The next `save`, `wait` and the end
    of the context wait for the thread, and raise its error. `on_save(name, seconds)` is called with the time
    that training stood still. `check` is called on the first rank before writing and before committing; it
    raises an error to prevent these.
    """

    def __init__(
        self, world: World, in_background: bool = False, check: Callable[[], None] = lambda: None
    ) -> None:
        self.world = world.with_cpu_group() if in_background else world
        self.layout = world
        self.check = check
        self.on_save: Callable[[str, float], None] = lambda name, seconds: None
        self._thread = ThreadPoolExecutor(1, "checkpoint") if in_background else None
        self._pending: Future[None] | None = None
        self._number = 0

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
        """Writes a checkpoint of `tensors`, by kind and name, of which each rank holds a part.

        `keep` is passed to `checkpoint.commit`; `after` is called on the first rank after the commit. Raises
        CheckpointError on every rank if one of them cannot write.
        """
        began = time.perf_counter()
        self.wait()

        def begin() -> Path:
            self.check()
            return checkpoint.prepare(directory)

        aside = self.layout.on_main(lambda: _guarded(directory, begin))
        parts = {kind: pieces_to_write(named, self.layout) for kind, named in tensors.items()}

        def commit(sums: Mapping[str, str]) -> None:
            self.check()
            self._number = (self._number or last_number(directory.parent)) + 1
            checkpoint.commit(directory, aside, meta, sums, number=self._number, keep=keep)
            after()

        if self._thread is None:
            self._write(directory, aside, parts, state, commit)
        else:
            copies = {
                kind: {name: _copy(piece) for name, piece in pieces.items()} for kind, pieces in parts.items()
            }
            self._pending = self._thread.submit(self._write, directory, aside, copies, state, commit)
        self.on_save(directory.name, time.perf_counter() - began)

    def wait(self) -> None:
        """Waits until the last checkpoint is on disk. Raises the error of its thread."""
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
        aside: Path,
        parts: Mapping[str, Mapping[str, TensorPiece]],
        state: dict[str, Any],
        commit: Callable[[Mapping[str, str]], None],
    ) -> None:
        rank, ranks = self.world.rank, self.world.size
        sums: dict[str, str] = {}
        problem = ""
        try:
            sums = _guarded(directory, lambda: checkpoint.write(aside, parts, state, rank, ranks))
        except UserError as error:
            problem = str(error)
        outcomes = self.world.gather((sums, problem))
        if problems := [problem for _, problem in outcomes if problem]:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(problems[0])
        merged = {name: value for of_rank, _ in outcomes for name, value in of_rank.items()}
        self.world.on_main(lambda: _guarded(directory, lambda: commit(merged)))


def _copy(piece: TensorPiece) -> TensorPiece:
    return replace(piece, tensor=piece.tensor.to("cpu", copy=True))


def _guarded(directory: Path, work: Callable[[], T]) -> T:
    try:
        return work()
    except (OSError, RuntimeError, SafetensorError) as cause:
        raise CheckpointError(f"{directory}: cannot be written ({cause}); the other slot is intact") from None
