"""Five training steps of a tiny task, in one process or as a part of several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rank_group import world_of

import tiny_models
from ucf_vit.data.batch import Batch
from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.dtensor_layout import gather_full_tensors
from ucf_vit.parallel.encoder.token_group import Exchange
from ucf_vit.parallel.gradient_norm import clip_gradients
from ucf_vit.parallel.ranks.mesh import MeshLayout
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.shard import Sharding
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.registries.tasks import BUILT_IN
from ucf_vit.tasks import TASKS, Task
from ucf_vit.training.optimization.optimizer import adamw

FLOAT = torch.Tensor.float
BATCH = 4
STEPS = 5
TASK_OF = {facts.network: task for task, facts in BUILT_IN.items()}
SMALL = tiny_models.DEFAULTS | {
    "embed_dim": 16,
    "depth": 2,
    "num_heads": 4,
    "decoder_embed_dim": 8,
    "decoder_num_heads": 4,
    "feature_size": 8,
}


@dataclass(frozen=True)
class Case:
    """A network of the registry with its options."""

    model: str
    options: dict[str, Any]
    threshold: float | None = None

    def __str__(self) -> str:
        return f"{self.model}-{tiny_models.case_id(self.options)}"


@dataclass
class Outcome:
    """Results of steps on a rank: full gradients of the first step, full parameters after the last."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    gradients: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    weights: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    initial: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def build(case: Case) -> Task:
    """The task with its network on `meta`, in float64."""
    options = SMALL | case.options
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            model = tiny_models.build(case.model, options)
    finally:
        torch.set_default_dtype(torch.float32)
    patcher = None
    if options.get("adaptive_patching"):
        patcher = AdaptivePatcher(
            tile_size=options["tile_size"],
            patch_size=options["patch_size"],
            fixed_length=options["fixed_length"],
            min_leaf=1,
            split_rule="length" if case.threshold is None else "threshold",
            split_threshold=case.threshold or 0.0,
            separate_channels=options.get("separate_channels", False),
            detail="gradient",
        )
    given = options | {"model": model, "patcher": patcher}
    return TASKS.build(TASK_OF[case.model], {}, given)


def batch_of(case: Case, task: Task, step: int) -> Batch:
    """The global batch of a step."""
    options = SMALL | case.options
    generator = torch.Generator().manual_seed(step)
    image = torch.rand(BATCH, options["in_channels"], *options["tile_size"], generator=generator)
    image = image.double()
    shape = (BATCH,) if case.model == "vit" else (BATCH, *options["tile_size"])
    label = torch.randint(options["num_classes"], shape, generator=generator)
    keys = torch.arange(BATCH) + BATCH * step
    names = tuple(options.get("default_vars", ())) or tuple("abc"[: options["in_channels"]])
    return Batch(image, label, names, "tiny", ("x",) * BATCH, keys)


def share(batch: Batch, rank: int, ranks: int) -> Batch:
    """Returns the part of a global batch of one data rank."""
    rows = slice(rank * BATCH // ranks, (rank + 1) * BATCH // ranks)
    assert batch.label is not None
    return replace(
        batch,
        image=batch.image[rows],
        label=batch.label[rows],
        keys=batch.keys[rows],
        files=batch.files[rows],
    )


EXACT = DistributeOptions(Sharding(reduce_dtype=torch.float64))


def steps(
    case: Case,
    layout: MeshLayout | None,
    settings: DistributeOptions = EXACT,
    steps: int = STEPS,
    attention: Exchange = "auto",
) -> Outcome:
    """Train; without a layout, in one process."""
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]  # losses take logits in float32
    try:
        return _steps(case, layout, settings, steps, attention)
    finally:
        torch.Tensor.float = FLOAT  # type: ignore[method-assign]


def _steps(
    case: Case, layout: MeshLayout | None, settings: DistributeOptions, steps: int, attention: Exchange
) -> Outcome:
    world = World(0, 1, torch.device("cpu")) if layout is None else world_of(layout, attention)
    task = build(case)
    replica = distribute(task, world, settings)
    outcome = Outcome(initial=arrays(gather_full_tensors(task.state_dict(), True)))
    optimizer = adamw(task, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    for step in range(steps):
        batch = share(batch_of(case, task, step), world.data_rank, world.data_size)
        drawn = task.draw(batch)
        exact = {name: x.double() if x.is_floating_point() else x for name, x in drawn.drawn.items()}
        drawn = replace(drawn, drawn=exact)
        loss = replica(drawn).value
        loss.backward()
        if step == 0:
            grads = {name: p.grad for name, p in task.named_parameters() if p.grad is not None}
            outcome.gradients = arrays(gather_full_tensors(grads, True))
        outcome.norms.append(clip_gradients(task.parameters(), 1.0, world))
        optimizer.step()
        optimizer.zero_grad()
        outcome.losses.append(float(world.sum(loss.detach())) / world.size)
    outcome.weights = arrays(gather_full_tensors(task.state_dict(), True))
    return outcome


def arrays(tensors: dict[str, torch.Tensor]) -> dict[str, NDArray[np.float64]]:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}
