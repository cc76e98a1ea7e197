"""Sizes that are absurd, alone or together: an estimate and one message, long before memory is asked for."""

import multiprocessing
import resource
from math import prod
from pathlib import Path

import pytest
import torch

import runs
from ucf_vit.config import load, parameters
from ucf_vit.core import memory
from ucf_vit.core.errors import ConfigError, DataError, UserError
from ucf_vit.core.memory import memory_here
from ucf_vit.data.loader.shared_memory import BatchLayout, BatchPart, SharedSlots
from ucf_vit.training.build import build_network
from ucf_vit.training.launch import memory_check, start


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(path, overrides)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.embed_dim=1000000000", "no machine holds"),
        ("model.patch_size=65536 model.tile_size=[65536,65536,65536]", "no machine holds"),
        ("model.mlp_ratio=1e15", "no machine holds"),
        ("model.num_classes=1000000000000", "no machine holds"),
        ("data.batch_size=1000000000000000", "data.batch_size = 1000000000000000: no machine holds"),
        ("model.tile_size=[1048576,1048576,1048576]", "no machine holds"),
        ("model.depth=10001", "expected a whole number >= 1 and <= 10000 (blocks)"),
        ("data.num_workers=2000", "expected a whole number >= 0 and <= 1024 (processes)"),
        ("model.num_classes=9223372036854775808", ">= 1 (classes); at most 9223372036854775807"),
        ("data.cache_size=1e300", "and <= 1000000000.0 (GiB)"),
        ("model.num_time_steps=1000000000", "and <= 1000000 (steps)"),
    ],
)
def test_one_message_with_an_estimate(small: Path, override: str, said: str) -> None:
    assert said in message(small, *override.split())


@pytest.mark.parametrize(
    "task", ["masked", "segmentation", "token_segmentation", "classification", "diffusion"]
)
def test_the_estimate_of_the_weights_is_no_more_than_there_are_and_not_much_less(
    tmp_path: Path, task: str
) -> None:
    wide = {"embed_dim": 192, "depth": 8, "num_heads": 2}
    run = load(runs.write_config(tmp_path / "c.yaml", task, tmp_path, model=wide))
    real = sum(prod(tensor.shape) for tensor in build_network(run).parameters())
    assert 0.6 * real < parameters(run) <= real


def test_networks_of_today_are_let_through(small: Path) -> None:
    large = ["model.embed_dim=18432", "model.depth=160", "model.num_heads=144", "data.batch_size=4096"]
    assert parameters(load(small, large)) > 6e11


def test_a_network_without_room_here_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    run = load(path)
    need = 4 * parameters(run)
    monkeypatch.setattr(memory_check, "memory_here", lambda: need)
    with start(run):
        pass
    monkeypatch.setattr(memory_check, "memory_here", lambda: need - 1)
    with (
        pytest.raises(
            UserError, match=r"c\.yaml:\d+: the weights take .* or more, this machine has .*; lower"
        ),
        start(run),
    ):
        pass


def test_batches_without_room_here_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = BatchLayout({"image": BatchPart((1, 2**10, 2**10), torch.float32, torch.float32)})
    with pytest.raises(
        DataError,
        match=r"6 batches of 1000000 tiles, filled ahead, take 25.2 TB; .*lower data.batch_size",
    ):
        SharedSlots(multiprocessing.get_context(), [layout], rows=1_000_000, count=6)
    assert SharedSlots(multiprocessing.get_context(), [layout], rows=1, count=2).size == 2**22


def test_the_memory_of_this_machine_and_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = memory_here()
    assert whole is not None and whole >= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (tmp_path / "memory.max").write_text("1048576\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "memory.max")
    assert memory_here() == 2**20
    (tmp_path / "memory.max").write_text("max\n")
    assert (memory_here() or 0) >= whole
