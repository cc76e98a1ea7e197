"""Weights of a network with other classes: all but what depends on their number, where that is said."""

import re
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
import torch
from torch import Tensor

import runs
from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import export_weights
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError, ConfigError
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.build import build_task
from ucf_vit.training.saved_runs.pretrained import start_from

OTHERS = {"segmentation": 6, "token_segmentation": 6, "classification": 5}
WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module", params=sorted(OTHERS))
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    concrete: Path,
    coloured: Path,
) -> tuple[str, Path, Path]:
    """A task, its data and the directory of a run of one step."""
    task = request.param
    place, root = tmp_path_factory.mktemp(task), coloured if task == "classification" else concrete
    runs.train(runs.write_config(place / "c.yaml", task, root, trainer={"max_steps": 1}))
    return task, root, place / "out"


def begun(path: Path, task: str, root: Path, start: Path, *overrides: str) -> dict[str, Tensor]:
    """The weights with which a run with another number of classes begins."""
    config = runs.write_config(path / "c.yaml", task, root, model={"num_classes": OTHERS[task]})
    run = load(config, [f"trainer.start_from={start}", *overrides])
    made = build_task(run)
    start_from(made, run, WORLD)
    return made.state_dict()


@pytest.mark.parametrize("kind", ["checkpoint", "file"])
def test_the_refusal_names_what_to_leave_out(
    trained: tuple[str, Path, Path], tmp_path: Path, kind: str
) -> None:
    task, root, out = trained
    start = out / "last"
    if kind == "file":
        start = tmp_path / "weights.safetensors"
        export_weights(out / "last", start)
    with pytest.raises(CheckpointError, match=r"another network.*with trainer\.start_without=\[") as error:
        begun(tmp_path, task, root, start)
    said = re.search(r"trainer\.start_without=\[.*?\]", str(error.value))
    assert said is not None
    weights = begun(tmp_path, task, root, start, said.group())
    names = said.group().partition("[")[2].rstrip("]").split(", ")
    left = tuple(f"model.{name}." for name in names)
    before = checkpoint.load(checkpoint.newest_slot(out, "last")).weights
    fresh = build_task(load(tmp_path / "c.yaml")).state_dict()
    assert {name for name in weights if name.startswith(left)} and len(names) < 4
    for name, value in weights.items():
        expected = fresh if name.startswith(left) else before
        assert torch.equal(value, expected[name]), name


def test_names_that_are_none(trained: tuple[str, Path, Path], tmp_path: Path) -> None:
    task, root, out = trained
    for name, hint in (("heda", "did you mean 'head'" if task == "classification" else ""), ("", "")):
        with pytest.raises(ConfigError, match=f"no weights in '{name}'.*{hint}"):
            begun(tmp_path, task, root, out / "last", f"trainer.start_without=['{name}']")
    config = runs.write_config(tmp_path / "c.yaml", task, root)
    with pytest.raises(ConfigError, match=r"trainer\.start_from is not set"):
        load(config, ["trainer.start_without=[head]"])


def test_other_differences_are_refused_as_before(trained: tuple[str, Path, Path], tmp_path: Path) -> None:
    task, root, out = trained
    with pytest.raises(CheckpointError, match="another network") as error:
        begun(tmp_path, task, root, out / "last", "model.depth=3")
    assert "start_without" not in str(error.value)


@pytest.mark.deep
def test_on_ranks_that_hold_parts(concrete: Path, tmp_path: Path, forkserver: BaseContext) -> None:
    runs.train(runs.write_config(tmp_path / "a/c.yaml", "segmentation", concrete, trainer={"max_steps": 1}))
    begins = {"start_from": str(tmp_path / "a/out/last"), "max_steps": 1}
    for name, layout in (("one", {}), ("two", {"mode": "fsdp", "fsdp_size": 2})):
        config = runs.write_config(
            tmp_path / name / "c.yaml",
            "segmentation",
            concrete,
            trainer=begins,
            model={"num_classes": 6, "tile_size": [16, 16, 24]},  # whose positions are interpolated
            parallelism=layout,
            data={"batch_size": 2 if layout else 4},
        )
        given = "trainer.start_without=[decoder.head]"
        assert runs.on_ranks(forkserver, 2 if layout else 1, config, given) == [0] * (2 if layout else 1)
    one, two = (runs.losses(tmp_path / name / "out") for name in ("one", "two"))
    assert one and two == pytest.approx(one, rel=1e-5)
