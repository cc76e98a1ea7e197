"""A checkpoint written on any layout is read on any other, to the bit, and by torch itself."""

from collections.abc import Iterator
from importlib import import_module
from multiprocessing.context import BaseContext
from pathlib import Path

import parity
import pytest
import torch
import torch.distributed.checkpoint as dcp
from rank_group import RankGroup, world_of
from safetensors.torch import load_file
from torch import Tensor

from ucf_vit import checkpoint
from ucf_vit.checkpoint import AVERAGED, OPTIMIZER, WEIGHTS
from ucf_vit.checkpoint.saver import Saver
from ucf_vit.core.errors import CheckpointError
from ucf_vit.parallel.distribute import distribute
from ucf_vit.parallel.ranks.mesh import MeshLayout
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.tensor_pieces import pieces_to_write
from ucf_vit.tasks import Task
from ucf_vit.training.optimization.ema import Ema
from ucf_vit.training.optimization.optimizer import adamw, load_moments, optimizer_moments
from ucf_vit.training.saved_runs.restore import load_tensors

pytestmark = pytest.mark.deep

CASE = parity.Case("mae", {"tile_size": (8, 4, 12), "patch_size": 4, "class_token": True})
WAY = [
    MeshLayout(fsdp=2, tensor=2),
    MeshLayout(fsdp=4),
    MeshLayout(ddp=4),
    MeshLayout(ddp=2, tensor=2),
    None,
    MeshLayout(fsdp=2, seq=2),
    MeshLayout(fsdp=2, tensor=2),
]
KINDS = (WEIGHTS, AVERAGED, OPTIMIZER)


@pytest.fixture(scope="module")
def group(forkserver: BaseContext) -> Iterator[RankGroup]:
    ranks = RankGroup(forkserver, 4)
    yield ranks
    ranks.close()


def pass_on(layout: MeshLayout | None, source: Path | None, target: Path, beside: bool = False) -> None:
    """Write `target`: of a step with weights of its own, or of what is read from `source`."""
    world = World(0, 1, torch.device("cpu")) if layout is None else world_of(layout)
    task = parity.build(CASE)
    distribute(task, world, parity.EXACT)
    optimizer = adamw(task, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    ema = Ema(task, 0.9)
    if source is None:
        for parameter in task.parameters():
            parameter.grad = parameter.detach().clone() + 0.5 if parameter.requires_grad else None
        optimizer.step()
        ema.update(task)
    else:
        read = checkpoint.load(source, world)
        load_tensors(task, [read.shards(WEIGHTS)])
        load_moments(task, optimizer, read.shards(OPTIMIZER))
        ema.load_state_dict({"updates": 1}, read.shards(AVERAGED).parts(ema.weights))
    with Saver(world, beside) as saver:
        saver.save(target, tensors_of(task, optimizer, ema), {"rank": world.rank}, {"step": 1})


def tensors_of(task: Task, optimizer: torch.optim.Optimizer, ema: Ema) -> dict[str, dict[str, Tensor]]:
    return {WEIGHTS: task.state_dict(), AVERAGED: ema.weights, OPTIMIZER: optimizer_moments(task, optimizer)}


def same(a: Path, b: Path) -> bool:
    for kind in KINDS:
        one, other = (checkpoint.load(path).shards(kind).whole() for path in (a, b))
        assert one.keys() == other.keys()
        assert one
        assert all(one[name].equal(other[name]) for name in one)
    return True


def test_from_layout_to_layout_to_the_bit(group: RankGroup, tmp_path: Path) -> None:
    pass_on(None, None, tmp_path / "alone")
    source = None
    for number, layout in enumerate(WAY):
        target = tmp_path / str(number)
        if layout is None:
            pass_on(None, source, target)
        else:
            group.call(pass_on, layout, source, target, number % 2 == 0)
        assert same(target, tmp_path / "0")
        source = target
    whole = checkpoint.load(tmp_path / "0").weights
    expected = checkpoint.load(tmp_path / "alone").weights
    assert all(torch.allclose(whole[name], expected[name], rtol=0, atol=1e-15) for name in expected)
    files = checkpoint.read_meta(tmp_path / "0")["sha256"]
    assert {f"{kind}-0000{n}-of-00004.safetensors" for kind in KINDS for n in (1, 2, 3, 4)} <= files.keys()
    assert {f"{kind}.safetensors" for kind in KINDS} <= checkpoint.read_meta(tmp_path / "4")["sha256"].keys()
    elements = [sum(map(torch.numel, load_file(path).values())) for path in (tmp_path / "0").glob("model*")]
    assert len(elements) == 4
    assert sum(elements) == sum(map(torch.numel, whole.values()))

    out = {name: torch.zeros_like(tensor) for name, tensor in whole.items()}
    shards = tmp_path / "weights"
    shards.mkdir()
    for path in (tmp_path / "0").glob("model-*.safetensors"):
        (shards / path.name).hardlink_to(path)
    with pytest.warns(UserWarning, match="single process"):
        dcp.load(out, storage_reader=dcp.HuggingFaceStorageReader(str(shards)), no_dist=True)
    assert all(out[name].equal(whole[name]) for name in whole)


def test_two_processes_of_mode_simple_share_the_writing(tmp_path: Path) -> None:
    tensors = {str(n): torch.full((n + 1, 2), float(n)) for n in range(40)} | {"scalar": torch.tensor(7)}
    sums = {}
    aside = checkpoint.prepare(tmp_path / "last_even")
    for rank in range(2):
        parts = {WEIGHTS: pieces_to_write(tensors, World(rank, 2, torch.device("cpu")))}
        assert 5 < len(parts[WEIGHTS]) < 36
        sums |= checkpoint.write(aside, parts, {"rank": rank}, rank, 2)
    checkpoint.commit(tmp_path / "last_even", aside, {"step": 1}, sums)
    read = checkpoint.load(tmp_path / "last_even")
    assert all(read.weights[name].equal(tensor) for name, tensor in tensors.items())

    lost = tmp_path / "last_even/model-00002-of-00002.safetensors"
    lost.unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002.safetensors: missing"):
        checkpoint.load_newest(tmp_path, "last")


def damaged_for_all(directory: Path) -> str:
    found, problems = checkpoint.load_newest(directory, "last", world_of(MeshLayout(ddp=4)))
    assert found is not None
    return f"{found.directory.name}: {problems[0]}"


def test_a_damaged_shard_is_named_on_every_rank_and_the_other_slot_used(
    group: RankGroup, tmp_path: Path
) -> None:
    for slot in checkpoint.slots(tmp_path, "last"):
        group.call(pass_on, MeshLayout(fsdp=2, tensor=2), None, slot)
    broken = tmp_path / "last_odd/optimizer-00003-of-00004.safetensors"
    content = bytearray(broken.read_bytes())
    content[-5] ^= 1
    broken.write_bytes(content)
    assert set(group.call(damaged_for_all, tmp_path)) == {
        f"last_even: {broken}: damaged (its SHA-256 is not the one in meta.json)"
    }


def full_on_rank_2(directory: Path, beside: bool) -> str:
    world = world_of(MeshLayout(ddp=4))
    tensors = {WEIGHTS: {str(n): torch.zeros(3) for n in range(40)}}
    with Saver(world, beside) as saver:
        saver.save(directory, tensors, {}, {"step": 1})
    if world.rank == 2:
        # The package has a function of the same name as this module.
        import_module("ucf_vit.checkpoint.write").write_shard = fails
    try:
        with Saver(world, beside) as saver:
            saver.save(directory, tensors, {}, {"step": 2})
    except CheckpointError as error:
        return str(error)
    return ""


def fails(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("beside", [False, True])
def test_a_full_disk_on_one_rank_is_an_error_on_all(
    forkserver: BaseContext, tmp_path: Path, beside: bool
) -> None:
    ranks = RankGroup(forkserver, 4)
    said = set(ranks.call(full_on_rank_2, tmp_path / "last_even", beside))
    ranks.close()
    assert len(said) == 1
    assert "last_even: cannot be written ([Errno 28] No space left" in said.pop()
    assert checkpoint.load(tmp_path / "last_even").meta["step"] == 1
