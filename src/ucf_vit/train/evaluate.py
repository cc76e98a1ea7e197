"""Metrics on held-out data."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ucf_vit.data.batch import Batch
from ucf_vit.parallel.shard import gathered_weights
from ucf_vit.parallel.world import World
from ucf_vit.tasks.task import Task


@torch.no_grad()
def evaluate(
    task: Task, batches: Iterable[Batch], world: World, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """The task's metrics over the batches of all processes, which may have different numbers of them.

    A metric without a single value (a class that never occurs) is NaN.
    """
    training = task.training
    task.eval()
    totals = {name: torch.zeros(2, dtype=torch.float64) for name in task.metric_names}
    with gathered_weights(task):
        for batch in batches:
            with torch.autocast(world.device.type, dtype, enabled=dtype != torch.float32):
                for name, pair in task.evaluate(batch.to(world.device)).items():
                    totals[name] += pair.cpu()
    task.train(training)
    summed = world.sum(torch.stack(list(totals.values()))).cpu()
    return dict(zip(totals, (summed[:, 0] / summed[:, 1]).tolist(), strict=True))
