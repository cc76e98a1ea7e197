"""Process group of a run."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist

from ucf_vit.config import Run
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import UserError
from ucf_vit.parallel.ranks.liveness import LivenessMonitor
from ucf_vit.parallel.ranks.mesh import MeshLayout, layout_from_degrees, make_mesh, make_token_group
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.launch.device import pick_device
from ucf_vit.training.launch.find import find_place
from ucf_vit.training.launch.memory_check import check_memory
from ucf_vit.training.launch.rank import Place
from ucf_vit.training.same_on_all_ranks import check_program

MEETING = timedelta(minutes=10)
"""Time that the first process to start waits for the last one."""


@contextmanager
def start(run: Run) -> Iterator[World]:
    """Context that joins the other processes of the run, seeds this one, and leaves the group at its end.

    Raises ConfigError if the parallel sizes do not fit the number of processes, UserError if the device is
    not available, the weights do not fit into memory, or another process has another config or version.
    """
    place = find_place()
    layout = layout_from_degrees(check_ranks(run, place.size))
    chosen = pick_device(run.trainer.device, place.size)
    check_memory(run, place, chosen)
    if place.size == 1:
        yield _complete(run, World(0, 1, chosen), layout, _patience(run.parallelism.timeout))
        return
    timeout = run.parallelism.timeout
    patience = _patience(timeout)
    store = join(place, chosen, patience)
    monitor = LivenessMonitor(store, place.rank, place.size, timeout, partial(_give_up, place.rank))
    with _leaving_group(monitor):
        yield _complete(run, World(place.rank, place.size, chosen, monitor=monitor), layout, patience)


def world_of(run: Run, device: torch.device | None = None) -> World:
    """Returns the world of a run in a process group that the caller has initialised (collective).

    For processes that another program starts and watches, such as the workers of Ray Train: lost ranks are
    not detected here, and the process group is not destroyed at the end. Without a process group the world
    has one rank. `device` is that of this process; by default it follows `trainer.device`, with the current
    GPU if there are several. Seeds this process. Raises the same errors as `start`.
    """
    joined = dist.is_initialized()
    rank, size = (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)
    layout = layout_from_degrees(check_ranks(run, size))
    chosen = _own_device(run.trainer.device, size) if device is None else device
    world = World(rank, size, chosen)
    nodes = world.gather(socket.gethostname())
    place = Place(rank, size, nodes[:rank].count(nodes[rank]), nodes.count(nodes[rank]), "", 0, "its caller")
    check_memory(run, place, chosen)
    return _complete(run, world, layout, _patience(run.parallelism.timeout))


def _own_device(name: str, size: int) -> torch.device:
    """Returns the same device as `pick_device`, but of several GPUs the current one of this process."""
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return pick_device(name, size)


def _complete(run: Run, world: World, layout: MeshLayout, patience: timedelta) -> World:
    """Checks that all ranks have the same run, makes the groups of ranks that it needs, seeds this rank."""
    if world.size > 1:
        check_program(run, world)
        if run.parallelism.mode == "fsdp" and not layout.is_simple:
            mesh = make_mesh(layout, world.device, patience)
            tokens = make_token_group(layout, patience, run.parallelism.seq_par_attention)
            world = replace(world, mesh=mesh, tokens=tokens)
    torch.manual_seed(run.trainer.seed + world.data_rank)
    return world


def _patience(timeout: float) -> timedelta:
    """Returns the timeout of collectives. It is longer than the monitor's, which names the lost rank."""
    return timedelta(seconds=1.2 * timeout + 10)


@contextmanager
def _leaving_group(monitor: LivenessMonitor) -> Iterator[None]:
    """Context that leaves the process group at its end and tells the other ranks why.

    Raises UserError naming the lost rank if a collective failed.
    """
    reason = ""
    try:
        yield
    except Exception as error:
        if not _is_from_collective(error):
            reason = " ".join(f"{type(error).__name__}: {error}"[:300].split())
            raise
        failure = str(error).strip().partition("\n")[0][:120]
        raise UserError(f"{monitor.explain()}. The failure here: {failure}") from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        monitor.close(reason)


def _is_from_collective(error: Exception) -> bool:
    """Returns whether a collective failed; backends raise different RuntimeErrors if a process is gone."""
    words = ("onnection", "imed out", "gloo", "NCCL")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _give_up(rank: int, verdict: str) -> None:
    """Ends this process, whose main thread is stuck in a collective with a lost rank."""
    print(f"error: [rank {rank}] {verdict}", file=sys.stderr, flush=True)
    os._exit(UserError.exit_code)


def join(place: Place, device: torch.device, patience: timedelta) -> dist.Store:
    """Initialises the process group; returns the store in which the processes exchange addresses.

    Raises UserError if the other processes cannot be reached.
    """
    gpu = device.type == "cuda"
    try:
        store = _store(place)
        dist.init_process_group(
            "nccl" if gpu else "gloo",
            store=store,
            rank=place.rank,
            world_size=place.size,
            timeout=patience,
            device_id=device if gpu else None,
        )
    except dist.DistNetworkError as error:
        raise UserError(
            f"rank {place.rank} of {place.size} ({place.launcher}) cannot reach the others at "
            f"{place.master_addr}:{place.master_port} ({str(error)[:200]}); set another place with "
            "MASTER_ADDR and MASTER_PORT"
        ) from None
    return store


def _store(place: Place) -> dist.Store:
    """Returns the store in which the processes exchange addresses; rank 0 or the launcher holds it.

    The store of torchrun outlives the processes. Restarted processes must not read the addresses of dead
    ones, so each start has its own prefix. Several agents count their starts differently: they share none.
    """
    if place.launcher != "torchrun":
        return dist.TCPStore(
            place.master_addr, place.master_port, place.size, is_master=place.rank == 0, timeout=MEETING
        )
    store, _, _ = next(dist.rendezvous("env://", timeout=MEETING))
    one_agent = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    start_number = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if one_agent else "0"
    return dist.PrefixStore(f"start{start_number}", store)
