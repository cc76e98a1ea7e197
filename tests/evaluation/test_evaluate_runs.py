"""Evaluations of segmentations: without any foreground, beside a baseline, and on several processes."""

import csv
import json
import os
import shutil
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import runs
from ucf_vit import checkpoint
from ucf_vit.core.errors import UserError
from ucf_vit.evaluation import EvaluationRequest, evaluate_run


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluations/validation_best.json").read_text())


def evaluate_rank(environment: dict[str, str], config: Path, *overrides: str) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    evaluate_run(config, EvaluationRequest(), overrides)


@pytest.fixture
def unlabelled(tmp_path: Path, concrete: Path) -> Path:
    """Four volumes, of which the last two have no foreground in their labels."""
    root = shutil.copytree(concrete, tmp_path / "data")
    for path in sorted((root / "labelsTr").iterdir())[2:]:
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), path)
    return root


@pytest.mark.deep
def test_without_foreground_the_loss_chooses_with_a_warning(tmp_path: Path, unlabelled: Path) -> None:
    """Dice would have no value for a network that is right, and be 0 for others."""
    trainer = {"max_epochs": 3, "early_stop_epochs": 2}
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", unlabelled, trainer=trainer, data={"dict_end_idx": {"tiny": 0.5}}
    )
    runs.train(config)
    out = tmp_path / "out"
    losses = runs.losses(out, "validation", "validation/loss")
    assert len(losses) == 3, "no early stop on what has no value"
    dice = runs.losses(out, "validation", "validation/dice")
    assert all(np.isnan(list(dice.values())))
    best = min(losses, key=lambda step: losses[step])
    assert checkpoint.read_meta(out / "best")["step"] == best
    log = (out / "log.txt").read_text()
    assert log.count("the best checkpoint is chosen by loss") == 1
    assert f"best (step {best})" in (out / "report.html").read_text()
    evaluate_run(out, EvaluationRequest())
    found = results(out)
    assert found["metrics"]["segmentation"]["dice"] is None
    assert found["metrics"]["segmentation"]["loss"] == pytest.approx(losses[best], rel=1e-4)
    assert found["counts"]["dice_1"]["labelled"] == 0
    assert sum(found["counts"]["dice_1"].values()) == 2


def test_a_model_beside_its_baseline(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 1})
    runs.train(config)
    evaluate_run(config, EvaluationRequest(threshold=True))
    metrics = results(tmp_path / "out")["metrics"]
    for column in ("segmentation", "intensity threshold"):
        classes = [metrics[column][f"dice_{k}"] for k in (1, 2, 3)]
        assert metrics[column]["dice"] == pytest.approx(np.mean(classes))
    masked = runs.write_config(tmp_path / "mae/c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(masked)
    with pytest.raises(UserError, match="--threshold is for segmentation, not for task masked"):
        evaluate_run(masked, EvaluationRequest(threshold=True))


@pytest.mark.deep
@pytest.mark.parametrize("layout", ["simple", "fsdp"])
def test_two_processes_evaluate_like_one(
    forkserver: BaseContext, tmp_path: Path, concrete: Path, layout: str
) -> None:
    halves = {"dict_end_idx": {"tiny": 0.25}}
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 1}, data=halves
    )
    runs.train(config)
    evaluate_run(config, EvaluationRequest())
    out = tmp_path / "out"
    alone = results(out)
    shutil.rmtree(out / "evaluations")
    sizes = [] if layout == "simple" else ["parallelism.mode=fsdp", "parallelism.fsdp_size=2"]
    assert runs.on_ranks(forkserver, 2, config, *sizes, target=evaluate_rank) == [0, 0]
    found = results(out)
    assert found["metrics"]["segmentation"] == pytest.approx(alone["metrics"]["segmentation"], rel=1e-5)
    assert found["counts"] == alone["counts"] and found["items"] == alone["items"]
    assert found["summary"]["class 1"]["dice"] == pytest.approx(alone["summary"]["class 1"]["dice"], rel=1e-5)
    assert found["summary"]["all classes"]["dice"]["mean"] == pytest.approx(
        found["metrics"]["segmentation"]["dice"]
    )
    rows = list(csv.DictReader((out / "evaluations/validation_best/scores.csv").read_text().splitlines()))
    assert len(rows) == 3 * 3 and len({row["case"] for row in rows}) == 3
    evaluate_run(config, EvaluationRequest(), ["parallelism.fsdp_size=4", "parallelism.simple_ddp_size=1"])
    assert results(out)["metrics"]["segmentation"] == pytest.approx(
        alone["metrics"]["segmentation"], rel=1e-6
    )
    trained = ["data.dict_val_start_idx={tiny: 0.0}", "data.dict_end_idx={tiny: 0.0}", *sizes]
    assert runs.on_ranks(forkserver, 2, config, *trained, target=evaluate_rank) == [1, 1]


@pytest.mark.deep
def test_an_ensemble_is_evaluated_with_its_mean(tmp_path: Path, concrete: Path) -> None:
    """Two equal members are one; items that any member was trained on are refused."""
    halves = {"dict_end_idx": {"tiny": 0.5}}
    for name, seed in (("a", 0), ("b", 1)):
        trainer = {"max_steps": 1, "seed": seed, "checkpoint_path": str(tmp_path / name)}
        runs.train(
            runs.write_config(
                tmp_path / f"{name}.yaml", "segmentation", concrete, trainer=trainer, data=halves
            )
        )
    alone, equal, both = (
        evaluate_run(tmp_path / "a", EvaluationRequest(ensemble=tuple(tmp_path / name for name in others)))
        for others in ((), ("a/last_even",), ("b",))  # the last checkpoint is the best one, too
    )
    assert alone and equal and both and alone.scored and equal.scored and both.scored
    assert equal.evaluation.metrics["segmentation"] == pytest.approx(alone.evaluation.metrics["segmentation"])
    assert both.evaluation.metrics != alone.evaluation.metrics
    assert both.evaluation.facts["Mean of"].count("best") == 2
    assert (tmp_path / "a/evaluations/validation_best_and_1_more.json").is_file()
    others = {"dict_start_idx": {"tiny": 0.5}, "dict_val_start_idx": {"tiny": 0.0}}
    others |= {"dict_end_idx": {"tiny": 1.0}, "dict_val_end_idx": {"tiny": 0.5}}
    trainer = {"max_steps": 1, "checkpoint_path": str(tmp_path / "c")}
    runs.train(runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer=trainer, data=others))
    with pytest.raises(UserError, match=r"--with .*/c: 2 of 2 items were trained on"):
        evaluate_run(tmp_path / "a", EvaluationRequest(ensemble=(tmp_path / "c",)))
