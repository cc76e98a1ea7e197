"""Where the processes of a run come from, and which device each one gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.parallel.mesh import layout_of, make_mesh
from ucf_vit.parallel.world import World

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others in a collective before it gives up."""


def world_size() -> int:
    """Number of processes of this run, as told by the launcher (torchrun); 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def start(run: Run) -> Iterator[World]:
    """Join the other processes of the run, seed this one, and leave at the end.

    Raises ConfigError when the parallel sizes do not fit the number of processes, UserError when the device
    is not there.
    """
    size = world_size()
    layout = layout_of(run.check_ranks(size))
    rank = int(os.environ.get("RANK", "0"))
    chosen = pick_device(run.trainer.device, size)
    if size > 1:
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        dist.init_process_group(
            backend, timeout=PATIENCE, device_id=chosen if chosen.type == "cuda" else None
        )
    split = run.parallelism.mode == "fsdp" and not layout.is_simple
    world = World(rank, size, chosen, make_mesh(layout, chosen, PATIENCE) if split else None)
    torch.manual_seed(run.trainer.seed + world.data_rank)
    try:
        yield world
    except RuntimeError as lost:
        if size == 1 or "onnection" not in str(lost):
            raise
        raise UserError(f"lost another process; its message says why ({str(lost)[:200]})") from None
    finally:
        world.close()


def pick_device(name: str, size: int) -> torch.device:
    """The device of this process: `auto` takes CUDA/ROCm, then MPS in a world of one, then the CPU."""
    if name == "auto":
        mps = size == 1 and torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if name == "cuda":
        return _pick_gpu()
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.device is mps, but this torch sees no MPS device; use cpu or auto")
    if name == "mps" and size > 1:
        raise UserError(f"trainer.device mps serves one process, not {size}; use cpu, or start one process")
    return torch.device(name)


def _pick_gpu() -> torch.device:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise UserError(
            f"local rank {local_rank} has no GPU of its own: torch sees {count} here; "
            "start fewer processes per node, or set trainer.device=cpu"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def spawn(processes: int, arguments: Sequence[str]) -> None:
    """Run `ucf-vit` with `arguments` on local processes; exits with the status of the first to fail."""
    command = ["--standalone", f"--nproc-per-node={processes}", "-m", "ucf_vit", *arguments]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1")
    try:
        torchrun(command)
    except ChildFailedError as failed:
        _, failure = failed.get_first_failure()
        sys.exit(failure.exitcode if failure.exitcode > 0 else 1)
