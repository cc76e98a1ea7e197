"""World of the processes of a run, with collectives on small values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from ucf_vit.core.errors import UserError
from ucf_vit.parallel.encoder.token_group import TokenGroup
from ucf_vit.parallel.ranks.liveness import LivenessMonitor

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """Rank and device of this process, and the groups that it belongs to.

    Args:
        rank: index of this process.
        size: number of processes.
        device: device on which this process computes.
        mesh: result of `make_mesh`; None if every process is a data rank (mode `simple`).
        tokens: group of processes that split the tokens of the same samples; None if no tokens are split.
        monitor: publishes the position of this process in the run and names a process that is lost.
        group: process group for the collectives of this class; None for the default group.
    """

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None = None
    tokens: TokenGroup | None = None
    monitor: LivenessMonitor | None = None
    group: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and reports."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Index of the part of the data that this process reads; processes with the same samples share it."""
        if self.mesh is None:
            return self.rank
        shards = self.mesh.get_local_rank("ddp") * self.mesh["shard"].size() + self.mesh.get_local_rank(
            "shard"
        )
        return shards // self._token_ranks

    @property
    def data_size(self) -> int:
        """Number of parts into which the data is split."""
        if self.mesh is None:
            return self.size
        return self.mesh["ddp"].size() * self.mesh["shard"].size() // self._token_ranks

    @property
    def _token_ranks(self) -> int:
        """Number of processes over which the tokens of a sample are split."""
        return 1 if self.tokens is None else self.tokens.size

    def with_cpu_group(self, timeout: timedelta | None = None) -> World:
        """Returns the same world with a new group on the CPU, for use in another thread; collective.

        `timeout` is how long its collectives wait for the last process (default: that of the process group).
        """
        if self.size == 1:
            return self
        group = dist.new_group(backend="gloo", timeout=timeout)
        return replace(self, device=torch.device("cpu"), group=group)

    def sum(self, tensor: Tensor) -> Tensor:
        """Returns the element-wise sum over all processes."""
        return self.sum_async(tensor)()

    def sum_async(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Starts a sum over all processes and returns a function that waits for it and returns it."""
        if self.size == 1:
            return lambda: tensor
        summed = tensor.to(self.device, copy=True)
        work = dist.all_reduce(summed, async_op=True, group=self.group)

        def finish() -> Tensor:
            work.wait()
            return summed

        return finish

    def gather(self, value: Any) -> list[Any]:
        """Returns the small Python values of all processes, in order of rank, on every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def broadcast(self, value: Any) -> Any:
        """Returns the small Python value of rank 0 on every process."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def on_main(self, work: Callable[[], T]) -> T:
        """Calls `work` on rank 0 and returns its result on every process; raises its UserError on all."""
        outcome: list[Any] = [None, None]
        if self.is_main:
            try:
                outcome[0] = work()
            except UserError as error:
                outcome[1] = error
        value, failure = self.broadcast(outcome)
        if failure is not None:
            raise failure
        return value

    def barrier(self) -> None:
        """Waits for all processes."""
        if self.size > 1:
            dist.barrier(group=self.group)

    def report_progress(self, step: int, doing: str) -> None:
        """Publishes the current activity of this process; all report the same ones in the same order."""
        if self.monitor is not None:
            self.monitor.report(step, doing)
