"""A group of processes that serves many cases: started once, since starting costs more than a case."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.context import BaseContext
from typing import Any

import torch
import torch.distributed as dist

from ports import free_port
from ucf_vit.parallel.encoder.token_group import Exchange
from ucf_vit.parallel.ranks.mesh import MeshLayout, make_mesh, make_token_group
from ucf_vit.parallel.ranks.world import World

_MESHES: dict[tuple[MeshLayout, Exchange], Any] = {}


class RankGroup:
    """`ranks` processes on gloo; `call` runs a function on all of them.

    Where one dies or does not answer, all are started again for the next call: one failure is no more.
    """

    def __init__(self, forkserver: BaseContext, ranks: int) -> None:
        self.forkserver, self.ranks = forkserver, ranks
        self.start()

    def start(self) -> None:
        """Starts the processes."""
        port = free_port()
        self.pipes = []
        self.processes = []
        for rank in range(self.ranks):
            here, there = self.forkserver.Pipe()
            process = self.forkserver.Process(target=_serve, args=(rank, self.ranks, port, there))  # type: ignore[attr-defined]
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def call(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Returns the results of `function(*arguments)` on all ranks. Raises the first error of one."""
        try:
            return self._call(function, *arguments)
        except (EOFError, OSError):  # TimeoutError is one
            for process in self.processes:
                process.kill()
            self.close()
            self.start()
            raise

    def _call(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        for pipe in self.pipes:
            pipe.send((function, arguments))
        answers = []
        for rank, pipe in enumerate(self.pipes):
            if not pipe.poll(300):
                raise TimeoutError(f"rank {rank} does not answer")
            answers.append(pipe.recv())
        for rank, (failed, answer) in enumerate(answers):
            if failed:
                raise AssertionError(f"rank {rank}: {answer}")
        return [answer for _, answer in answers]

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(10)
            if process.is_alive():
                process.kill()


def _serve(rank: int, ranks: int, port: int, pipe: Any) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=240))
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            os._exit(0)
        try:
            pipe.send((False, function(*arguments)))
        except Exception:
            pipe.send((True, traceback.format_exc()))


def world_of(layout: MeshLayout, attention: Exchange = "auto") -> World:
    """The world of this process in a layout of its group; meshes are kept."""
    if (layout, attention) not in _MESHES:
        wanted = not layout.is_simple
        device, patience = torch.device("cpu"), timedelta(seconds=240)
        _MESHES[layout, attention] = (
            (make_mesh(layout, device, patience), make_token_group(layout, patience, attention))
            if wanted
            else (None, None)
        )
    return World(dist.get_rank(), dist.get_world_size(), torch.device("cpu"), *_MESHES[layout, attention])
