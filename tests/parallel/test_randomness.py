"""Random numbers in training: equal on ranks that do the same work, different on others."""

from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import parity
import pytest
import torch
from parity import Case
from rank_group import RankGroup, world_of
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard

from ucf_vit.core.seeds import seed_generators
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.nn.encoder import Encoder
from ucf_vit.options import EncoderOptions
from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.encoder.region import Region, split_tokens
from ucf_vit.parallel.encoder.split_dropout import SplitDropout, SplitDropPath, rank_randomness
from ucf_vit.parallel.ranks.mesh import MeshLayout
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.recompute_and_compile import Recompute
from ucf_vit.parallel.shard import Sharding

SPLIT = [MeshLayout(tensor=4), MeshLayout(seq=4), MeshLayout(seq=2, tensor=2), MeshLayout(fsdp=2, tensor=2)]
DROPOUT = {"tile_size": (8, 4, 12), "patch_size": 4, "class_token": True, "drop_rate": 0.3, "drop_path": 0.4}
CASES = {
    "vit": Case("vit", DROPOUT),
    "vit, all samples": Case("vit", DROPOUT | {"drop_path": 0.0}),
    "mae": Case("mae", DROPOUT),
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, 4)
    yield ranks
    ranks.close()


def region_of(world: World) -> Region:
    assert world.mesh is not None
    return Region(world.mesh["tensor"], world.tokens)


def begin(world: World) -> None:
    """As a step does."""
    seed_generators(CPU, 0, "step", 3, world.data_rank)


@pytest.mark.parametrize("layout", SPLIT, ids=str)
def test_streams_of_ranks(group: RankGroup, layout: MeshLayout) -> None:
    """Within, all differ; without, those with the same samples agree, before and afterwards."""
    answers = group.call(_streams, layout)
    assert len({within for _, within, _, _ in answers}) == 4
    for data_rank, _, before, after in answers:
        same = [answer for answer in answers if answer[0] == data_rank]
        assert {answer[2:] for answer in same} == {(before, after)}
    assert len({before for _, _, before, _ in answers}) == layout.fsdp


def _streams(layout: MeshLayout) -> tuple[int, float, float, float]:
    world = world_of(layout)
    begin(world)
    before = torch.rand(()).item()
    with rank_randomness(region_of(world), CPU):
        within = torch.rand(()).item()
    return world.data_rank, within, before, torch.rand(()).item()


@pytest.mark.parametrize("layout", SPLIT[:3], ids=str)
def test_dropout_differs_between_ranks(group: RankGroup, layout: MeshLayout) -> None:
    """Each rank drops different elements of a tensor of ones, at the given rate, and scales the others."""
    masks = group.call(_dropped_tokens, layout)
    assert len({mask.tobytes() for mask in masks}) == 4
    assert set(np.unique(masks)) == {0.0, np.float32(1 / 0.75)}
    assert np.mean(masks) == pytest.approx(1, abs=0.05)


def _dropped_tokens(layout: MeshLayout) -> Any:
    world = world_of(layout)
    begin(world)
    drop = nn.Dropout(0.25).train()
    drop.__class__, drop.region = SplitDropout, region_of(world)  # type: ignore[assignment]
    ones = torch.ones(2, 16, 64)
    tokens = DTensor.from_local(ones, drop.region.mesh, [Shard(1)], run_check=False)
    return drop(tokens).to_local().numpy()


def test_stochastic_depth_is_that_of_one_process(group: RankGroup) -> None:
    x = torch.rand(64, 8, 3)
    seed_generators(CPU, 0, "step", 3, 0)
    expected = DropPath(0.4).train()(x)
    assert 0 < (expected == 0).flatten(1).all(dim=1).sum() < 64
    for found in group.call(_stochastic_depth, x):
        torch.testing.assert_close(found, expected)


def _stochastic_depth(x: Tensor) -> Tensor:
    world = world_of(MeshLayout(tensor=4))
    begin(world)
    drop = DropPath(0.4).train()
    drop.__class__, drop.region = SplitDropPath, region_of(world)  # type: ignore[assignment]
    return drop(split_tokens(x, drop.region.mesh)).full_tensor()


@pytest.mark.parametrize("layout", [None, *SPLIT[:3]], ids=str)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["block", "selective"])
def test_recomputation_drops_the_same_values(
    group: RankGroup, name: str, layout: MeshLayout | None, how: Recompute
) -> None:
    """Gradients with dropout are those of kept activations; the last block of a VIT has a single token."""
    calls = [(CASES[name], layout, kind) for kind in ("none", how)]
    kept, again = ([_gradients(*c)] if layout is None else group.call(_gradients, *c) for c in calls)
    for before, after in zip(kept, again, strict=True):
        for key, value in before.items():
            np.testing.assert_allclose(after[key], value, rtol=1e-9, atol=1e-12, err_msg=key)


def _gradients(case: Case, layout: MeshLayout | None, how: Recompute) -> dict[str, Any]:
    world = World(0, 1, CPU) if layout is None else world_of(layout)
    task = parity.build(case)
    replica = distribute(task, world, DistributeOptions(Sharding(reduce_dtype=torch.float64), recompute=how))
    batch = parity.share(parity.batch_of(case, task, 0), world.data_rank, world.data_size)
    begin(world)
    replica(task.draw(batch)).value.backward()
    return {
        name: (p.grad.to_local() if isinstance(p.grad, DTensor) else p.grad).numpy().copy()
        for name, p in task.named_parameters()
        if p.grad is not None
    }


def test_an_encoder_drops_whole_samples_in_every_block() -> None:
    """The rates of stochastic depth rise from block to block up to the one given."""
    encoder = Encoder(EncoderOptions(embed_dim=8, depth=3, num_heads=2, drop_path=0.4))
    assert [block.drop_path.rate for block in encoder.blocks] == pytest.approx([0.0, 0.2, 0.4])
