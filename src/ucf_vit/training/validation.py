"""Validation: metrics on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ucf_vit.data.batch import Batch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.shard import gathered_weights
from ucf_vit.tasks.ensemble import for_dataset
from ucf_vit.tasks.task import Task


def evaluate(
    task: Task, batches: Iterable[Batch], world: World, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """Returns the task's metrics over the batches of all processes, which may have different numbers of them.

    A metric is NaN if it has no value (a class that never occurs) or if one of its values is NaN.
    """
    return task.metrics(evaluate_totals(task, batches, world, dtype))


@torch.no_grad()
def evaluate_totals(
    task: Task,
    batches: Iterable[Batch],
    world: World,
    dtype: torch.dtype = torch.float32,
    on_predicted: Callable[[Batch, Tensor, Tensor], None] | None = None,
) -> dict[str, Tensor]:
    """Returns the sums of the results of `task.evaluate` over the batches of all processes.

    `on_predicted` is called on each process with its batches, predictions and targets, see `Task.report`.
    """
    training = task.training
    task.eval()
    task.on_predicted = on_predicted
    totals = task.totals()
    with gathered_weights(task):
        for batch in batches:
            with torch.autocast(world.device.type, dtype, enabled=dtype != torch.float32):
                for name, more in for_dataset(task, batch.dataset).evaluate(batch.to(world.device)).items():
                    totals[name] += more.cpu()
    task.on_predicted = None
    task.train(training)
    summed = world.sum(torch.cat([one.flatten() for one in totals.values()])).cpu()
    parts = summed.split([one.numel() for one in totals.values()])
    return {name: part.view_as(one) for (name, one), part in zip(totals.items(), parts, strict=True)}
