"""Whole runs on tiles and patches whose sides differ: trained, validated, with pictures, and resumed."""

from pathlib import Path

import pytest
import yaml

import runs
from ucf_vit.training.saved_runs.open_trained import open_trained

TREES = {"adaptive_patching": True, "fixed_length": 15}
CASES = {
    "masked": {},
    "segmentation": {},
    "token_segmentation": {},
    "diffusion": {},
    "classification": {},
    "masked on trees": TREES,
    "segmentation on trees": TREES,
    "classification on trees": {**TREES, "fixed_length": 13},
}


def config(path: Path, case: str, concrete: Path, coloured: Path) -> Path:
    task = case.split()[0]
    slab = {"tile_size": [16, 24, 8], "patch_size": [8, 8, 4]}
    if "trees" in case or task == "token_segmentation":
        slab["tile_size"] = [16, 16, 8]
    sheet = {"tile_size": [16, 32], "patch_size": [4, 8]}
    images = task == "classification"
    return runs.write_config(
        path / "c.yaml",
        task,
        coloured if images else concrete,
        trainer={"max_steps": 2, "pictures": case == "masked on trees"},
        model=(sheet if images else slab) | CASES[case],
        **({"dataset_options": {"imagenet_resize": {"tiny": [16, 32]}}} if images else {}),
    )


@pytest.mark.parametrize("case", CASES)
def test_every_task_trains(tmp_path: Path, concrete: Path, coloured: Path, case: str) -> None:
    runs.train(config(tmp_path, case, concrete, coloured))
    assert len(runs.losses(tmp_path / "out")) == 2
    saved = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    images = case.startswith("classification")
    assert saved["input"]["patch_size"] == ([4, 8] if images else [8, 8, 4])
    if "trees" in case or case == "token_segmentation":
        assert saved["adaptive"]["min_leaf"] == ([2, 4] if images else [4, 4, 2])
    task, run = open_trained(tmp_path / "out")
    assert task.model.input.patch_size == run.patch == tuple(saved["input"]["patch_size"])


@pytest.mark.parametrize("case", ["segmentation", "token_segmentation"])
def test_a_resumed_run_is_the_same_run(tmp_path: Path, concrete: Path, coloured: Path, case: str) -> None:
    straight = config(tmp_path / "straight", case, concrete, coloured)
    broken = config(tmp_path / "broken", case, concrete, coloured)
    schedule = ("optimizer.max_steps=2", "optimizer.warmup_steps=1")
    runs.train(straight, *schedule)
    runs.train(broken, *schedule, "trainer.max_steps=1")
    runs.train(broken, *schedule, "trainer.resume_from_checkpoint=true")
    assert runs.losses(tmp_path / "broken/out") == runs.losses(tmp_path / "straight/out")
