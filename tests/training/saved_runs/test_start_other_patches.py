"""Weights for another tile or other patches: positions are interpolated, projections of patches are not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import runs
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.build import build_task
from ucf_vit.training.saved_runs.pretrained import start_from

WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module", params=["segmentation", "masked"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    """The directory of a run of one step, on a tile of 16³ and patches of 8³."""
    place = tmp_path_factory.mktemp(request.param)
    runs.train(runs.write_config(place / "c.yaml", request.param, concrete, trainer={"max_steps": 1}))
    return place / "out"


def begun(trained: Path, *overrides: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the run, and those that another one starts with."""
    run = load(trained, [f"trainer.start_from={trained / 'last'}", *overrides])
    task = build_task(run)
    start_from(task, run, WORLD)
    return checkpoint.load(checkpoint.newest_slot(trained, "last")).weights, task.state_dict()


def test_positions_are_interpolated_to_another_tile(trained: Path) -> None:
    before, after = begun(trained, "input.tile_size=[16,24,8]")
    assert before.keys() == after.keys()
    tables = [name for name in before if name.endswith("positions.table")]
    assert len(tables) == (2 if "decoder.positions.table" in "".join(before) else 1)
    for name, value in before.items():
        expected = interpolate(value, (2, 2, 2), (2, 3, 1)) if name in tables else value
        torch.testing.assert_close(after[name], expected)


def test_the_same_number_of_patches_in_another_arrangement_is_another_grid(trained: Path) -> None:
    before, after = begun(trained, "input.tile_size=[8,16,32]")
    expected = interpolate(before["model.positions.table"], (2, 2, 2), (1, 2, 4))
    torch.testing.assert_close(after["model.positions.table"], expected)


@pytest.mark.parametrize("patch", ["[8,8,4]", "[16,8,4]"])
def test_other_patches_are_refused_with_what_to_leave_out(trained: Path, patch: str) -> None:
    """Also those of as many pixels, which the shapes of weights do not show."""
    with pytest.raises(CheckpointError, match=r"input\.patch_size was 8, is ") as error:
        begun(trained, f"input.patch_size={patch}")
    if patch == "[16,8,4]":
        assert "the pixels of a patch are in another order" in str(error.value)
    advice = str(error.value).split("with ")[1].split("]")[0] + "]"
    assert advice.startswith("trainer.start_without=[embed, decoder")
    before, after = begun(trained, f"input.patch_size={patch}", advice)
    encoder = [name for name in before if name.startswith("model.encoder.")]
    assert encoder and all(torch.equal(before[name], after[name]) for name in encoder)
