"""Options of mode fsdp: what must change no result changes none, and what may changes little."""

from collections.abc import Iterator
from multiprocessing.context import BaseContext

import numpy as np
import parity
import pytest
import torch
import traffic
from parity import Case, Outcome
from rank_group import RankGroup, world_of
from torch import nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.encoder import Encoder
from ucf_vit.parallel.distribute import DistributeOptions, distribute
from ucf_vit.parallel.encoder.token_group import Exchange
from ucf_vit.parallel.initial_weights import materialise
from ucf_vit.parallel.ranks.mesh import MeshLayout
from ucf_vit.parallel.shard import Sharding, gathered_weights
from ucf_vit.parallel.traffic import ElementSizes, bytes_per_step

BOTH = MeshLayout(fsdp=2, tensor=2)
CASE = Case("vit", {"tile_size": (8, 4, 12), "patch_size": 4, "class_token": True, "depth": 3})
DOUBLE = torch.float64


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, 4)
    yield ranks
    ranks.close()


@pytest.fixture(scope="module")
def alone() -> Outcome:
    return parity.steps(CASE, None)


@pytest.mark.parametrize(
    "settings",
    [
        DistributeOptions(Sharding(reshard_after_forward=False, reduce_dtype=DOUBLE)),
        DistributeOptions(Sharding(cpu_offload=True, reduce_dtype=DOUBLE)),
        DistributeOptions(Sharding(reduce_dtype=DOUBLE), recompute="block"),
        DistributeOptions(Sharding(reduce_dtype=DOUBLE), recompute="selective"),
    ],
    ids=["kept after forward", "offloaded", "blocks again", "attention again"],
)
def test_memory_saving_options_change_no_result(
    group: RankGroup, alone: Outcome, settings: DistributeOptions
) -> None:
    for outcome in group.call(parity.steps, CASE, BOTH, settings):
        np.testing.assert_allclose(outcome.losses, alone.losses, rtol=1e-9)
        np.testing.assert_allclose(outcome.norms, alone.norms, rtol=1e-9)


def test_recomputation_on_one_process_changes_no_result(alone: Outcome) -> None:
    outcome = parity.steps(CASE, None, DistributeOptions(recompute="block"))
    np.testing.assert_allclose(outcome.losses, alone.losses, rtol=1e-12)


@pytest.mark.parametrize(
    ("layout", "attention"),
    [(BOTH, "auto"), (MeshLayout(seq=4), "ulysses"), (MeshLayout(seq=4), "ring")],
    ids=str,
)
def test_bfloat16_keeps_float32_shards(
    group: RankGroup, alone: Outcome, layout: MeshLayout, attention: Exchange
) -> None:
    """The rounding of products, 2^-8, is seen in the loss; weights, gradients and their sums are float32."""
    loss, types = group.call(_in_bfloat16, layout, attention)[0]
    assert loss == pytest.approx(alone.losses[0], rel=2e-2)
    assert loss != pytest.approx(alone.losses[0], rel=1e-6)
    assert types == {(torch.float32, torch.float32)}


def _in_bfloat16(
    layout: MeshLayout, attention: Exchange
) -> tuple[float, set[tuple[torch.dtype, torch.dtype]]]:
    world = world_of(layout, attention)
    task = parity.build(CASE).float()
    distribute(task, world, DistributeOptions())
    batch = parity.share(parity.batch_of(CASE, task, 0), world.data_rank, world.data_size)
    with torch.autocast("cpu", torch.bfloat16):
        logits = task.model(batch.image.float())
    assert batch.label is not None
    loss = nn.functional.cross_entropy(logits.float(), batch.label)
    loss.backward()
    types = {(p.dtype, p.grad.dtype) for p in task.parameters() if p.grad is not None}
    return float(world.sum(loss.detach())) / world.size, types


def test_dropout_agrees_between_tensor_ranks_and_differs_between_data_ranks(group: RankGroup) -> None:
    """Tensor ranks go on with the same tokens and gradients; data ranks draw their own."""
    case = Case("vit", CASE.options | {"drop_rate": 0.2, "drop_path": 0.3})
    answers = group.call(_with_dropout, case)
    assert answers[0] == answers[1] and answers[2] == answers[3]
    assert answers[0] != answers[2]


def _with_dropout(case: Case) -> tuple[float, float]:
    world = world_of(BOTH)
    torch.manual_seed(world.data_rank)
    task = parity.build(case)
    replica = distribute(task, world, parity.EXACT)
    loss = replica(parity.share(parity.batch_of(case, task, 0), 0, 2)).value
    loss.backward()
    grad = task.model.get_parameter("embed.weight").grad
    assert grad is not None
    return float(loss), float(grad.to_local().square().sum())  # type: ignore[attr-defined]


def test_data_ranks_may_evaluate_different_numbers_of_batches(group: RankGroup) -> None:
    """Also before the first training step, and training goes on afterwards."""
    outcomes = group.call(_evaluate_unevenly)
    assert len({loss for _, loss in outcomes}) == 1
    assert [number for number, _ in outcomes] == [0, 0, 3, 3]


def _evaluate_unevenly() -> tuple[int, float]:
    world = world_of(BOTH)
    task = parity.build(CASE)
    replica = distribute(task, world, parity.EXACT)
    batch = parity.batch_of(CASE, task, 0)
    done = 0
    with torch.no_grad(), gathered_weights(task):
        for _ in range(3 * world.data_rank):
            task.model(batch.image)
            done += 1
    loss = replica(batch).value
    loss.backward()
    return done, float(loss)


@pytest.mark.parametrize(
    "layout", [MeshLayout(tensor=4), MeshLayout(fsdp=4), BOTH, MeshLayout(ddp=2, fsdp=2)], ids=str
)
@pytest.mark.parametrize("class_token", [False, True])
def test_traffic_of_a_block_is_that_of_the_formulas(
    group: RankGroup, layout: MeshLayout, class_token: bool
) -> None:
    """docs/parallelism.md; 5 or 6 tokens of width 16 in float64."""
    (few, few_bytes), (more, more_bytes) = (
        group.call(
            traffic.of_one_step,
            Case("vit", {"tile_size": (6, 30), "patch_size": 6, "class_token": class_token, "depth": depth}),
            layout,
            parity.EXACT,
        )[0]
        for depth in (3, 4)
    )
    width, hidden, ranks = 16, 32, layout.tensor
    tokens = 4 // layout.fsdp // layout.ddp * (ranks * -(-(5 + class_token) // ranks)) * width * 8
    split = 4 * width * width + 3 * width + 2 * width * hidden + hidden
    weights = (split // ranks + 6 * width) * 8
    expected = {"all-gather": (0, 0), "reduce-scatter": (0, 0), "all-reduce": (0, 0)}
    if ranks > 1:
        expected |= {"all-gather": (4, 4 * tokens), "reduce-scatter": (4, 4 * tokens)}
        expected["all-reduce"] = (6, 6 * width * 8)
    if layout.fsdp > 1:
        for kind, times in (("all-gather", 2), ("reduce-scatter", 1)):
            number, size = expected[kind]
            expected[kind] = (number + times, size + times * weights)
    if layout.ddp > 1:
        expected["all-reduce"] = (1, weights // layout.fsdp)
    found = {kind: (more[kind] - few[kind], more_bytes[kind] - few_bytes[kind]) for kind in expected}
    assert found == expected


def test_traffic_of_a_step_is_that_of_the_formulas(group: RankGroup) -> None:
    case = Case("vit", {"tile_size": (6, 30), "patch_size": 6, "class_token": False})
    layout, batch = MeshLayout(tensor=4), parity.BATCH
    _, measured = group.call(traffic.of_one_step, case, layout, parity.EXACT)[0]
    network = parity.build(case).model
    computed = bytes_per_step(network, {"encoder": 5}, batch, layout, ElementSizes(8, 8, 8))
    assert computed == {"tensor": sum(measured.values()), "seq": 0, "shard": 0, "ddp": 0}


@pytest.mark.parametrize(
    ("attention", "layout", "length", "per_block"),
    [
        ("ulysses", MeshLayout(seq=4), 13, {"all-to-all": (8, 8 * 4 * 4 * 16 * 8)}),
        ("ring", MeshLayout(seq=4), 8, {"send": (10, 10 * 2 * 4 * 2 * 16 * 8)}),
        ("ring", MeshLayout(seq=2, tensor=2), 8, {"send": (4, 4 * 2 * 4 * 4 * 8 * 8)}),
    ],
    ids=str,
)
def test_traffic_of_ranks_that_split_tokens_is_that_of_the_formulas(
    group: RankGroup,
    attention: Exchange,
    layout: MeshLayout,
    length: int,
    per_block: dict[str, tuple[int, int]],
) -> None:
    """Tokens of width 16 in float64; each rank gathers what all of them hold at both ends."""
    cases = [
        Case("vit", {"tile_size": (6, 6 * length), "patch_size": 6, "class_token": False, "depth": depth})
        for depth in (3, 4)
    ]
    (few, few_bytes), (more, more_bytes) = (
        group.call(traffic.of_one_step, case, layout, parity.EXACT, attention)[0] for case in cases
    )
    ends = "all-gather of tokens"
    kinds = ("all-to-all", "send", ends)
    found = {kind: (more[kind] - few[kind], more_bytes[kind] - few_bytes[kind]) for kind in kinds}
    assert found == dict.fromkeys(kinds, (0, 0)) | per_block
    assert more[ends] == 2
    assert more_bytes[ends] == 2 * parity.BATCH * layout.seq * -(-length // layout.seq) * 16 * 8
    network, sizes = parity.build(cases[1]).model, ElementSizes(8, 8, 8)
    computed = bytes_per_step(network, {"encoder": length}, parity.BATCH, layout, sizes, attention=attention)
    assert computed["seq"] == sum(more_bytes[kind] for kind in kinds)
    assert (computed["tensor"] > 0) == (layout.tensor > 1)


def test_a_parameter_without_a_rule_is_named(group: RankGroup) -> None:
    answers = group.call(_without_rule)
    assert all("encoder.blocks.1.extra.weight: no rule splits a Linear" in answer for answer in answers)


def _without_rule() -> str:
    task = parity.build(CASE)
    encoder = task.model.encoder
    assert isinstance(encoder, Encoder)
    with torch.device("meta"):
        encoder.blocks[1].extra = nn.Linear(3, 3)
    try:
        distribute(task, world_of(BOTH), DistributeOptions())
    except UserError as error:
        return str(error)
    return ""


def test_a_tensor_without_an_initial_value_is_named() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.empty(3))

    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 3), Forgetful())
    with pytest.raises(UserError, match=r"1\.scale: no initial value"):
        materialise(model, 0, torch.device("cpu"))
