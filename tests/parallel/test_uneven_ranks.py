"""Every sample counts once, however many a rank has: 6 ranks with 2 samples step as one process does."""

from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import parity
import pytest
import torch
from numpy.typing import NDArray
from parity import Case
from rank_group import RankGroup, world_of

from ucf_vit.data.batch import Batch
from ucf_vit.data.order.epoch_order import Group, Request
from ucf_vit.data.order.global_order import GlobalOrder
from ucf_vit.parallel.distribute import distribute
from ucf_vit.parallel.dtensor_layout import gather_full_tensors
from ucf_vit.parallel.ranks.mesh import MeshLayout
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import Task
from ucf_vit.training.optimization.loss_scale import LossScale
from ucf_vit.training.state import State
from ucf_vit.training.step import StepSettings, train_step

LAYOUTS = {
    "ddp 6": MeshLayout(ddp=6),
    "fsdp 6": MeshLayout(fsdp=6),
    "ddp 2 x fsdp 3": MeshLayout(ddp=2, fsdp=3),
    "fsdp 3 x tensor 2": MeshLayout(fsdp=3, tensor=2),
    "fsdp 3 x seq 2": MeshLayout(fsdp=3, seq=2),
}
VOLUME = {"tile_size": (8, 4, 12), "patch_size": 4, "class_token": True}
CASES = {
    "mae": Case("mae", VOLUME),
    "vit": Case("vit", VOLUME),
    "sap": Case("sap", parity.tiny_models.ADAPTIVE_IMAGE),
}
TILES, GLOBAL_BATCH = 14, 12
"""A batch of twelve and one of two, for which there are more ranks: of these some have none."""


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, 6)
    yield ranks
    ranks.close()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("name", "layout"),
    [*(("mae", layout) for layout in LAYOUTS), ("vit", "ddp 6"), ("sap", "fsdp 3 x seq 2")],
)
def test_ranks_with_different_numbers_of_samples(
    group: RankGroup, name: str, layout: str, accumulate: int
) -> None:
    expected = epoch(CASES[name], None, accumulate)
    weights, losses, _ = expected
    for found_weights, found_losses, _ in (
        answers := group.call(epoch, CASES[name], LAYOUTS[layout], accumulate)
    ):
        np.testing.assert_allclose(found_losses, losses, rtol=1e-9)
        for key, value in weights.items():
            np.testing.assert_allclose(found_weights[key], value, rtol=1e-9, atol=1e-12, err_msg=key)
    assert not all(always for *_, always in answers)


def epoch(
    case: Case, layout: MeshLayout | None, accumulate: int
) -> tuple[dict[str, NDArray[np.float64]], list[float], bool]:
    """Weights after an epoch of plain descent in float64, losses, and whether this rank had samples."""
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    try:
        return _epoch(case, layout, accumulate)
    finally:
        torch.Tensor.float = parity.FLOAT  # type: ignore[method-assign]


def _epoch(case: Case, layout: MeshLayout | None, accumulate: int) -> Any:
    world = World(0, 1, torch.device("cpu")) if layout is None else world_of(layout)
    task = parity.build(case)
    replica = distribute(task, world, parity.EXACT)
    optimizer = torch.optim.SGD(task.parameters(), lr=1.0)
    state = State(task, replica, optimizer, LossScale(False), None, world)  # type: ignore[arg-type]
    group = Group("tiny", "tiny", np.ones(TILES, np.int64))
    ranks = world.data_size
    order = GlobalOrder([group], GLOBAL_BATCH // ranks, 0, world.data_rank, ranks)
    given = [batch_of(case, task, request) for request in order.requests(0)]
    settings = StepSettings(lambda step: 1.0, gradient_clip=0.0)
    losses = [
        train_step(state, settings, given[first : first + accumulate]).metrics["loss"]
        for first in range(0, len(given), accumulate)
    ]
    weights = parity.arrays(gather_full_tensors(task.state_dict(), True))
    return weights, losses, all(batch.counts for batch in given)


def batch_of(case: Case, task: Task, request: Request) -> Batch:
    """Images, labels and all that is drawn are functions of the tile."""
    singles = [one(case, task, int(tile)) for tile in request.tiles]
    return replace(
        singles[0],
        image=torch.cat([single.image for single in singles]),
        label=torch.cat([single.label for single in singles if single.label is not None]),
        keys=torch.cat([single.keys for single in singles]),
        files=("x",) * len(singles),
        per_rank=request.per_rank,
        counts=request.counts,
    )


def one(case: Case, task: Task, tile: int) -> Batch:
    whole = parity.batch_of(case, task, tile)
    return parity.share(whole, 0, parity.BATCH)
