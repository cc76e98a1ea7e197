"""Post-processing is chosen where validation Dice grows, kept beside the checkpoints, and used."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import runs
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
from ucf_vit.evaluation.runs.choose_postprocessing import choose, postprocess_of
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks import Segmentation, dice
from ucf_vit.tasks.postprocessing import ClassOptions, Postprocessing
from ucf_vit.training.postprocessing_file import FILE, Chosen, read_chosen

ALONE = World(0, 1, torch.device("cpu"))


class Shown(nn.Module):
    """Predicts the class number that the image shows."""

    def forward(self, image: Tensor) -> Tensor:
        return -((image - torch.arange(4.0).view(1, 4, 1, 1, 1)) ** 2)


def scan(root: Path, name: str, speck: int) -> None:
    """Class 1: a cube, shown with specks and a hole; 2: two cubes; 3: a large, a small cube, specks."""
    true = np.zeros((24, 24, 24), np.uint8)
    true[2:10, 2:10, 2:10] = 1
    true[14:17, 2:5, 2:5] = true[20:23, 2:5, 2:5] = 2
    true[14:20, 14:20, 14:20] = true[14:16, 2:4, 14:16] = 3
    shown = true.copy()
    shown[5:7, 5:7, 5:7] = 0
    shown[12, 12, 12] = shown[2 : 2 + speck, 20, 20] = 1
    shown[22, 22, 22] = shown[22, 12, 22] = 3
    for folder, values in (("imagesTr", shown), ("labelsTr", true)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), root / folder / f"{name}.nii")


def test_what_raises_the_dice_of_a_class_is_chosen(tmp_path: Path) -> None:
    for number in range(3):
        scan(tmp_path, f"s{number}", number + 1)
    normalization = {"kind": "none"}
    dataset = build_dataset(
        "tiny", "basic_ct", str(tmp_path), tile_size=(8, 8, 8), num_classes=4, normalization=normalization
    )
    task = Segmentation(Shown(), 4, (8, 8, 8)).eval()
    chosen = choose(task, volumes([dataset], original=True), [dataset], ALONE, torch.float32, 7)
    assert chosen.operations.classes[1] == ClassOptions(largest_component=True, fill_holes=True)
    assert 2 not in chosen.operations.classes, "two components are right"
    assert chosen.operations.classes[3] == ClassOptions(min_volume=10.0), (
        "specks of 8 mm^3 go, the cube of 64 stays"
    )
    without, changed = dice.empty_totals(4), dice.empty_totals(4)
    for batch in volumes([dataset], original=True):
        without += task.evaluate(batch)["dice"]
    task.postprocess = postprocess_of(chosen, [dataset])
    for batch in volumes([dataset], original=True):
        changed += task.evaluate(batch)["dice"]
    for number in (1, 2, 3):
        figures = chosen.figures[f"dice_{number}"]
        assert figures["without"] == pytest.approx(dice.means(without)[f"dice_{number}"], abs=1e-6)
        assert figures["with"] == pytest.approx(dice.means(changed)[f"dice_{number}"], abs=1e-6)
    assert dice.means(changed)["dice"] == 1


def labels_in(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.deep
def test_evaluations_and_predictions_use_it(
    tmp_path: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = {"max_steps": 4, "max_epochs": 4}
    runs.train(
        runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer=trainer, model={"lr": 0.01})
    )
    run, scans = tmp_path / "out", concrete / "imagesTr"
    image = sorted(scans.iterdir())[3]
    predict_run(run, PredictionRequest((str(image),), tmp_path / "plain"))
    plain = labels_in(tmp_path / "plain" / image.name)
    operations = Postprocessing({number: ClassOptions(True, fill_holes=True) for number in (1, 2, 3)})
    Chosen(operations, step=1).write(run)
    predict_run(run, PredictionRequest((str(image),), tmp_path / "o"))
    assert "post-processing: class 1: largest component, holes filled; class 2" in capsys.readouterr().out
    found = labels_in(tmp_path / "o" / image.name)
    assert np.array_equal(found, operations.apply(plain, 1.0)) and not np.array_equal(found, plain)
    with pytest.raises(UserError, match=r"holds predictions of .*post-processed"):
        predict_run(run, PredictionRequest((str(image),), tmp_path / "o", postprocess=False))
    results = evaluate_run(run, EvaluationRequest())
    true = torch.from_numpy(labels_in(concrete / "labelsTr" / image.name).astype(np.int64))[None]
    totals = dice.totals_of_labels(torch.from_numpy(found.astype(np.int64))[None], true, 4)
    assert results is not None
    assert results.evaluation.metrics["segmentation"]["dice"] == pytest.approx(
        dice.means(totals)["dice"], rel=1e-9
    )
    notes = " ".join(results.notes)
    assert (
        "post-processed: class 1: largest component, holes filled" in notes
        and "other weights, of step 1" in notes
    )
    assert "These items chose the post-processing" in notes
    chosen = evaluate_run(run, EvaluationRequest(choose_postprocessing=True))
    assert chosen is not None and read_chosen(run) != Chosen(operations, 1)
    figures = json.loads((run / FILE).read_text())["chosen"]
    assert all(one["with"] >= one["without"] for one in figures.values() if one["without"] is not None)
    off = evaluate_run(run, EvaluationRequest(postprocess=False))
    assert off is not None and "post-processed" not in " ".join(off.notes)


def test_what_can_not_be_chosen_or_read_is_refused(tmp_path: Path, coloured: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1}))
    with pytest.raises(
        UserError, match="--choose-postprocessing is for segmentation, on the validation items"
    ):
        evaluate_run(tmp_path / "out", EvaluationRequest(choose_postprocessing=True))
    (tmp_path / FILE).write_text('{"step": 1, "classes": {"1": {"largest": true}}}')
    with pytest.raises(CheckpointError, match=r"postprocessing\.json: no readable post-processing"):
        read_chosen(tmp_path)
    shutil.rmtree(tmp_path / "out")
    assert read_chosen(tmp_path / "out") is None


def test_it_is_told_with_the_names_of_classes() -> None:
    chosen = Chosen(Postprocessing({1: ClassOptions(True), 2: ClassOptions(fill_holes=True)}), step=800)
    assert chosen.in_words({1: "liver"}) == (
        "class 1 (liver): largest component; class 2: holes filled (chosen on validation items at step 800)"
    )
    assert Chosen(Postprocessing({}), 5).in_words({}).startswith("nothing (chosen")
