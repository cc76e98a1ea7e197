"""Complete runs on adaptive patches, with trees grown in the loader or on the device, by each rule."""

from pathlib import Path
from typing import Any

import pytest
import torch

import runs
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError
from ucf_vit.training.build import build_task

ADAPTIVE = {"adaptive_patching": True, "fixed_length": 15}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a mask": {"split_rule": "threshold", "split_threshold": 40, "split_overflow": "drop"},
    "a blur that is drawn": {"detail_smoothing": [1, 3, 5]},
    "trees per channel": {"separate_channels": True},
    "places in the sequence": {"use_adaptive_pos_emb": False, "detail": "variance"},
}


def config(
    path: Path, task: str, concrete: Path, coloured: Path, options: dict[str, Any], **data: Any
) -> Path:
    images = task == "classification"
    length = {"fixed_length": 13} if images else {}
    model = ADAPTIVE | length | options
    root = coloured if images else concrete
    return runs.write_config(path / "c.yaml", task, root, trainer={"max_epochs": 1}, model=model, data=data)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("task", ["masked", "segmentation", "token_segmentation", "classification"])
def test_trees_grown_by_the_loader_or_beside_the_model_give_the_same_run(
    tmp_path: Path, concrete: Path, coloured: Path, task: str, options: str
) -> None:
    found = []
    for place in ("loader", "device"):
        where = tmp_path / place
        runs.train(config(where, task, concrete, coloured, OPTIONS[options], patching_in=place))
        found.append(
            [runs.losses(where / "out", *key) for key in (("step",), ("validation", "validation/loss"))]
        )
    assert found[0] == found[1]
    assert len(found[0][0]) >= 3 and found[0][1]


def test_workers_draw_blur_and_thresholds_from_the_seed(tmp_path: Path, coloured: Path) -> None:
    drawn = {"detail_smoothing": [1, 3, 5, 7], "canny_low": [30, 80], "canny_high": [90, 200]}
    found = []
    for workers in (0, 2):
        where = tmp_path / str(workers)
        runs.train(config(where, "classification", coloured, coloured, drawn, num_workers=workers))
        found.append(runs.losses(where / "out"))
    assert found[0] == found[1]


def test_whole_volumes_are_pasted_from_tokens(tmp_path: Path, concrete: Path) -> None:
    """Where no leaf is larger than a patch, logits that say the label come back as the label."""
    file = config(
        tmp_path, "token_segmentation", concrete, concrete, {"fixed_length": 512, "detail": "variance"}
    )
    task = build_task(load(file))
    label = torch.randint(0, 4, (1, 24, 16, 20), generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.one_hot(label, 4).movedim(-1, 1).float()

    class Tells(torch.nn.Module):
        def forward(self, patches, variables):
            return 100 * patches.values

    task.model = Tells()
    assert torch.equal(task.eval().predict_whole(image).argmax(dim=1), label)


@pytest.mark.parametrize("pictures", [False, pytest.param(True, marks=pytest.mark.deep)])
def test_a_run_says_that_its_patches_are_nearly_uniform(
    tmp_path: Path, concrete: Path, pictures: bool
) -> None:
    """In the log and in the report; 15 leaves are too few to judge."""
    for length, said in ((15, False), (512, True)):
        where = tmp_path / str(length)
        file = config(where, "token_segmentation", concrete, concrete, {"fixed_length": length})
        runs.train(file, "trainer.max_steps=1", f"trainer.pictures={pictures}".lower())
        for name in ("log.txt", "report.html"):
            text = (where / "out" / name).read_text()
            assert ("nearly uniform (leaves of 2 pixels)" in text) == said
            assert ("lower fixed_length or min_leaf" in text) == said


def test_sap_needs_adaptive_patching(tmp_path: Path, concrete: Path) -> None:
    file = config(tmp_path, "token_segmentation", concrete, concrete, {"adaptive_patching": False})
    with pytest.raises(ConfigError, match="task token_segmentation works on adaptive patches"):
        load(file)
