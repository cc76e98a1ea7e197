"""Milliseconds per step and memory by layout, beside plain torch DDP and FSDP2, at equal work.

    python benchmarks/parallel.py [--nproc N] [--quick] [--rounds N]

A step is forward, loss, backward, clipping and AdamW in float32, of one VIT on the same global batch: ours as
`ucf-vit train` makes it, theirs in `plain` below. All live in the same processes (gloo on CPUs, NCCL or RCCL
where every process has a GPU) and take turns; the ratio is the median over rounds of ours / plain, of plain
DDP for layouts without sharding and of plain FSDP2 for the others. `kept` are the weights and moments of one
process, `peak` is what a step takes on top of all that is kept, on GPUs alone.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist
import typer
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.run import main as torchrun
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from ucf_vit.data.batch import Batch
from ucf_vit.models import VIT
from ucf_vit.nn.block import Block
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.ranks.mesh import MeshLayout, make_mesh, make_token_group
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.classification import Classification
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.optimization.optimizer import adamw
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings, train_step

PATIENCE = timedelta(minutes=5)
Step = Callable[[], None]
Owner = tuple[nn.Module, torch.optim.Optimizer]


@dataclass(frozen=True)
class Row:
    """Of a layout: milliseconds per step, their ratio to plain torch, MiB kept, and MiB at most in a step."""

    name: str
    ms: float
    ratio: float
    kept: float
    peak: float | None


def side_of(quick: bool, gpu: bool) -> int:
    """Of an image."""
    return 64 if quick else 224 if gpu else 128


def network(quick: bool, gpu: bool) -> VIT:
    torch.manual_seed(0)
    width, depth = (64, 2) if quick else (1024, 24) if gpu else (256, 6)
    return VIT(
        InputOptions(in_channels=3, tile_size=(side_of(quick, gpu),) * 2),
        EncoderOptions(embed_dim=width, depth=depth, num_heads=16 if gpu else 4),
        num_classes=100,
    )


def plain(model: nn.Module, device: torch.device, sharded: bool) -> tuple[Callable[[Batch], None], Owner]:
    """A step of torch's DDP or FSDP2 and nothing more."""
    model.to(device)
    if sharded:
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        for block in (module for module in model.modules() if isinstance(module, Block)):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        replica = model
    else:
        replica = DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(batch: Batch) -> None:
        assert batch.label is not None
        loss = nn.functional.cross_entropy(replica(batch.image), batch.label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step, (model, optimizer)


def ours(
    model: nn.Module, device: torch.device, layout: MeshLayout
) -> tuple[Callable[[Batch], None], World, Owner]:
    """A step as a run makes it, without data, logs and checkpoints."""
    mesh = None if layout.is_simple else make_mesh(layout, device, PATIENCE)
    tokens = make_token_group(layout, PATIENCE, "auto")
    world = World(dist.get_rank(), dist.get_world_size(), device, mesh, tokens)
    task = Classification(model)
    replica = distribute(task, world, DistributeOptions())
    state = State(
        task=task,
        replica=replica,
        optimizer=adamw(task, lr=1e-5, betas=(0.9, 0.999), weight_decay=0.01),
        scale=LossScale(enabled=False),
        stream=None,  # type: ignore[arg-type]  # a step does not read
        world=world,
    )
    settings = StepSettings(rate=lambda step: 1e-5)

    def step(batch: Batch) -> None:
        train_step(state, settings, [batch])

    return step, world, (task, state.optimizer)


def layouts(ranks: int) -> dict[str, MeshLayout]:
    """The layouts of so many processes that are compared; of one process, all are the same."""
    found = {"ddp": MeshLayout(ddp=ranks), "fsdp": MeshLayout(fsdp=ranks)}
    if ranks > 1:
        found |= {"tensor": MeshLayout(tensor=ranks), "seq": MeshLayout(seq=ranks)}
    if ranks % 4 == 0:
        found["ddp x fsdp"] = MeshLayout(ddp=2, fsdp=ranks // 2)
        found["fsdp x tensor"] = MeshLayout(fsdp=ranks // 2, tensor=2)
    return found


def share(batch: int, rank: int, ranks: int, side: int, device: torch.device) -> Batch:
    """A data rank's part of the global batch."""
    generator = torch.Generator().manual_seed(rank)
    count = batch // ranks
    image = torch.randn(count, 3, side, side, generator=generator).to(device)
    label = torch.randint(100, (count,), generator=generator).to(device)
    return Batch(image, label, ("r", "g", "b"), "random", ("",) * count, torch.arange(count))


def kept_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Weights and moments that a process holds, in bytes."""
    moments = [x for state in optimizer.state.values() for x in state.values() if isinstance(x, Tensor)]
    tensors = [*model.parameters(), *moments]
    return sum((x.to_local() if isinstance(x, DTensor) else x).nbytes for x in tensors)


def seconds(step: Step, device: torch.device) -> float:
    """Of one step that all processes begin together."""
    dist.barrier()
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak(step: Step, device: torch.device) -> float | None:
    """The most a GPU has allocated within a step on top of what is kept, MiB; None without a GPU."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def join() -> torch.device:
    """Join the other processes; the device of this one."""
    ranks, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    gpu = torch.cuda.device_count() >= ranks
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    torch.set_num_threads(1)
    dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    return device


def leave() -> None:
    """Leave the other processes."""
    dist.destroy_process_group()


def global_batch(quick: bool, gpu: bool, ranks: int) -> int:
    return ranks * (1 if quick else 16 if gpu else 2)


def measure(quick: bool, rounds: int, device: torch.device) -> list[Row]:
    """In every process: all layouts in turn."""
    rank, ranks, gpu = dist.get_rank(), dist.get_world_size(), device.type == "cuda"
    batch, side = global_batch(quick, gpu, ranks), side_of(quick, gpu)
    steps: dict[str, Step] = {}
    owners: dict[str, Owner] = {}
    for name in ("plain DDP", "plain FSDP2"):
        run, owners[name] = plain(network(quick, gpu), device, sharded=name == "plain FSDP2")
        steps[name] = partial(run, share(batch, rank, ranks, side, device))
    for name, layout in layouts(ranks).items():
        run, world, owners[name] = ours(network(quick, gpu), device, layout)
        steps[name] = partial(run, share(batch, world.data_rank, world.data_size, side, device))
    times = in_turn(steps, rounds, device)
    rows = []
    for name, step in steps.items():
        base = "plain FSDP2" if "fsdp" in name.lower() else "plain DDP"
        ratio = statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
        milliseconds = 1e3 * statistics.median(times[name])
        rows.append(Row(name, milliseconds, ratio, kept_bytes(*owners[name]) / 2**20, peak(step, device)))
    return rows


def in_turn(steps: dict[str, Step], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each step, each going first in every other round, after two rounds to warm up."""
    for step in 2 * list(steps.values()):
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps) if number % 2 else list(reversed(steps)):
            times[name].append(seconds(steps[name], device))
    return times


def show(rows: list[Row], device: torch.device, batch: int) -> None:
    """Print the table."""
    print(f"{dist.get_world_size()} processes, {device.type}, global batch {batch}")
    print(f"{'layout':16} {'ms':>8} {'ratio':>6} {'kept MiB':>9} {'peak MiB':>9}")
    for row in rows:
        most = "-" if row.peak is None else f"+{row.peak:.0f}"
        print(f"{row.name:16} {row.ms:8.1f} {row.ratio:6.3f} {row.kept:9.1f} {most:>9}")


def main(nproc: int = 2, quick: bool = False, rounds: int = 21) -> None:
    """Start the processes, or be one of them (also under torchrun)."""
    if "RANK" in os.environ:
        device = join()
        rows = measure(quick, 3 if quick else rounds, device)
        if dist.get_rank() == 0:
            show(rows, device, global_batch(quick, device.type == "cuda", dist.get_world_size()))
        leave()
        return
    again = [__file__, "--rounds", str(rounds), *(["--quick"] if quick else [])]
    torchrun(["--standalone", f"--nproc-per-node={nproc}", *again])


if __name__ == "__main__":
    typer.run(main)
