"""The processes of a run, as one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from ucf_vit.core.errors import UserError
from ucf_vit.parallel.encoder.sequence import TokenGroup
from ucf_vit.parallel.ranks.liveness import Watch

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among all: `rank` of `size`, and the device it computes on.

    `mesh` is made by `parallel.ranks.mesh.make_mesh`; None: every process is a data rank (mode `simple`).
    `tokens` are the processes that have the tokens of the same samples between them; None: each has all.
    `watch` knows where the others are in the run, to name one that is lost.
    `group` is what values are exchanged in; None: the one that all processes are in from the start.
    """

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None = None
    tokens: TokenGroup | None = None
    watch: Watch | None = None
    group: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes the logs and reports."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Which share of the data this process reads; the same for all that work on the same samples."""
        if self.mesh is None:
            return self.rank
        shards = self.mesh.get_local_rank("ddp") * self.mesh["shard"].size() + self.mesh.get_local_rank(
            "shard"
        )
        return shards // self._sharing

    @property
    def data_size(self) -> int:
        """Into how many shares the data is split."""
        if self.mesh is None:
            return self.size
        return self.mesh["ddp"].size() * self.mesh["shard"].size() // self._sharing

    @property
    def _sharing(self) -> int:
        """Over how many processes the tokens of a sample are split."""
        return 1 if self.tokens is None else self.tokens.ranks

    def beside(self) -> World:
        """The same processes with a group of their own on the CPU, for a thread; collective."""
        if self.size == 1:
            return self
        return replace(self, device=torch.device("cpu"), group=dist.new_group(backend="gloo"))

    def sum(self, tensor: Tensor) -> Tensor:
        """Element-wise sum over all processes."""
        return self.sum_later(tensor)()

    def sum_later(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Begin to sum over all processes; what is returned waits for the sum."""
        if self.size == 1:
            return lambda: tensor
        shared = tensor.to(self.device, copy=True)
        work = dist.all_reduce(shared, async_op=True, group=self.group)

        def finish() -> Tensor:
            work.wait()
            return shared

        return finish

    def gather(self, value: Any) -> list[Any]:
        """The small Python values of all processes, by rank, on every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def broadcast(self, value: Any) -> Any:
        """The small Python value of rank 0 on every process."""
        if self.size == 1:
            return value
        values: list[Any] = [value]
        dist.broadcast_object_list(values, src=0, group=self.group)
        return values[0]

    def on_main(self, work: Callable[[], T]) -> T:
        """What `work` returns on rank 0, on every process; a UserError there is raised on all of them."""
        outcome: list[Any] = [None, None]
        if self.is_main:
            try:
                outcome[0] = work()
            except UserError as error:
                outcome[1] = error
        value, refusal = self.broadcast(outcome)
        if refusal is not None:
            raise refusal
        return value

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier(group=self.group)

    def at(self, step: int, doing: str) -> None:
        """Tell the others what this process does now; all say the same in the same order."""
        if self.watch is not None:
            self.watch.at(step, doing)
