"""Runs whose data sets have different variables, in one process and in two."""

import os
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

import runs
from ports import free_port
from tiny_models import build
from ucf_vit.data.batch import Batch
from ucf_vit.parallel.ranks.world import World
from ucf_vit.parallel.simple import wrap_in_ddp
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.tasks import Classification, MaskedAutoencoding, Segmentation, Task, TokenSegmentation

NETWORK = {
    "in_channels": 5,
    "use_varemb": True,
    "default_vars": "abcde",
    "aggregation_group": 2,
    "tile_size": (8, 8),
    "patch_size": 4,
    "embed_dim": 16,
    "depth": 1,
    "num_heads": 2,
    "decoder_depth": 1,
    "decoder_num_heads": 2,
    "num_classes": 3,
    "feature_size": 4,
}
TASKS = ["classification", "masked", "segmentation", "token_segmentation", "separate"]
SEEN = ("ca", "e")
"""The variables of each rank's batch."""


def task_for(name: str) -> Task:
    torch.manual_seed(0)
    patcher = AdaptivePatcher(
        tile_size=(8, 8), patch_size=4, fixed_length=7, separate_channels=name[0] == "s"
    )
    match name:
        case "classification":
            task: Task = Classification(build("vit", NETWORK | {"aggregation": "hierarchical"}))
        case "masked":
            attention = {"aggregation": "hierarchical", "aggregation_partial": "attention"}
            task = MaskedAutoencoding(build("mae", NETWORK | attention))
        case "segmentation":
            task = Segmentation(build("unetr", NETWORK), 3, (8, 8))
        case "separate":
            trees = {"adaptive_patching": True, "fixed_length": 7, "separate_channels": True}
            task = MaskedAutoencoding(build("mae", NETWORK | trees | {"mask_ratio": 0.5}), patcher=patcher)
        case _:
            patcher = AdaptivePatcher(tile_size=(8, 8), patch_size=4, fixed_length=7)
            model = build("sap", NETWORK | {"fixed_length": 7})
            task = TokenSegmentation(model, 3, (8, 8), patcher=patcher)
    return task.double()


def batch_of(task: Task, name: str, rank: int) -> Batch:
    make = torch.Generator().manual_seed(rank)
    image = torch.rand(2, len(SEEN[rank]), 8, 8, generator=make, dtype=torch.float64)
    label = torch.randint(0, 3, (2,) if name == "classification" else (2, 8, 8), generator=make)
    return task.draw(Batch(image, label, tuple(SEEN[rank]), "d", ("f", "g"), torch.arange(2) + 10 * rank))


def gradients_on(rank: int, port: int, path: Path) -> None:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", **address}
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found = {}
    for name in TASKS:
        task = task_for(name)
        replica = wrap_in_ddp(task, World(rank, 2, torch.device("cpu")))
        for _ in range(2):
            task.zero_grad()
            replica(batch_of(task, name, rank)).value.backward()
        found |= {f"{name}/{key}": p.grad for key, p in task.named_parameters()}
    save_file(found, path / f"{rank}")
    dist.destroy_process_group()


def test_ranks_that_see_different_variables_have_the_gradient_of_all(
    tmp_path: Path, forkserver: BaseContext
) -> None:
    port = free_port()
    processes = [forkserver.Process(target=gradients_on, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    found = [load_file(tmp_path / f"{rank}") for rank in (0, 1)]
    for name in TASKS:
        task = task_for(name)
        for rank in (0, 1):
            (task(batch_of(task, name, rank)).value / 2).backward()
        for key, parameter in task.named_parameters():
            for other in found:
                torch.testing.assert_close(other[f"{name}/{key}"], parameter.grad, msg=f"{name} {key}")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("rank", [0, 1])
@torch.inference_mode()
def test_some_variables_are_evaluated_and_shown(name: str, rank: int) -> None:
    task = task_for(name).eval()
    batch = batch_of(task, name, rank)
    assert set(task.metrics(task.evaluate(batch))) == set(task.metric_names)
    assert all(panel.image.shape == (8, 8) for panel in task.pictures(batch))


def two_modalities(root: Path) -> dict[str, Any]:
    """Two data sets over the same volumes, which are CT in one and MR in the other."""
    both = {"first": str(root), "second": str(root)}
    return {
        "dict_root_dirs": both,
        "dict_end_idx": dict.fromkeys(both, 0.5),
        "dict_in_variables": {"first": ["ct"], "second": ["mr"]},
    }


@pytest.mark.deep
def test_data_sets_of_different_variables_in_one_run(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    data = two_modalities(concrete)
    model = {"lr": 1e-4, "use_varemb": True, "default_vars": ["mr", "ct"], "aggregation": "hierarchical"}
    one, two = (
        runs.write_config(
            tmp_path / f"{size}/c.yaml",
            "segmentation",
            concrete,
            data=data | {"batch_size": size},
            model=model,
            trainer={"max_steps": 6},
        )
        for size in (4, 2)
    )
    runs.train(one)
    assert runs.on_ranks(forkserver, 2, two) == [0, 0]
    for event, key in (("step", "loss"), ("step", "grad_norm"), ("validation", "validation/loss")):
        expected = runs.losses(tmp_path / "4/out", event, key)
        assert runs.losses(tmp_path / "2/out", event, key) == pytest.approx(expected, rel=1e-5)


@pytest.mark.deep
def test_ranks_with_data_sets_of_their_own_and_different_variables(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    """Each step has a data set on one rank and the other on the other: no parameter is seen by all."""
    data = two_modalities(concrete) | {"order": "rank"}
    model = {"use_varemb": True, "default_vars": ["mr", "ct"], "aggregation": "hierarchical"}
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, data=data, model=model)
    assert runs.on_ranks(forkserver, 2, config) == [0, 0]
    found = runs.losses(tmp_path / "out")
    assert min(list(found.values())[-3:]) < found[1]
    assert (tmp_path / "out/plan/plan.npz").exists()


@pytest.mark.parametrize("more", [{}, {"adaptive_patching": True, "separate_channels": True}], ids=str)
def test_batches_of_one_variable(tmp_path: Path, coloured: Path, more: dict) -> None:
    path = tmp_path / "c.yaml"
    model = {"use_varemb": True, "aggregation": "cross", **more}
    runs.train(
        runs.write_config(path, "classification", coloured, data={"single_channel": True}, model=model)
    )
    found = runs.losses(tmp_path / "out")
    assert min(list(found.values())[-3:]) < found[1]


def test_an_encoder_is_taken_over_by_the_names_of_its_variables(tmp_path: Path, concrete: Path) -> None:
    named = {"use_varemb": True, "default_vars": ["mr", "ct"], "pos_embed": "sincos"}
    data = {"dict_in_variables": {"tiny": ["ct"]}}
    mae = runs.write_config(tmp_path / "mae/c.yaml", "masked", concrete, data=data, model=named)
    runs.train(mae, "trainer.max_steps=1")
    start = {
        "use_pretrained_mae_model": True,
        "mae_checkpoint_path": str(tmp_path / "mae/out"),
        "max_steps": 1,
    }
    unetr = runs.write_config(
        tmp_path / "unetr/c.yaml",
        "segmentation",
        concrete,
        data=data,
        trainer=start,
        model=named | {"default_vars": ["ct", "t2", "mr"], "lr": 1e-9, "weight_decay": 0.0},
    )
    runs.train(unetr)
    before, after = (
        load_file(next((tmp_path / name / "out").glob("*/model.safetensors")))["model.embed.tokens.weight"]
        for name in ("mae", "unetr")
    )
    torch.testing.assert_close(after[[2, 0]], before, rtol=0, atol=1e-6)
    assert (
        "taken in part: embed.tokens.weight (2 of 3 variables: ct, mr)"
        in (tmp_path / "unetr/out/log.txt").read_text()
    )
