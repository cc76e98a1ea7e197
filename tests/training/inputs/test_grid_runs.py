"""Runs on another grid than the stored one: planned, trained, resumed, prepared and evaluated."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import runs
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError, DataError, UserError
from ucf_vit.data.geometry.undo import classes_on_original
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.prepare.conversion import StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
from ucf_vit.tasks import dice
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.inputs.plan_files import draft
from ucf_vit.training.inputs.prepare_datasets import origins
from ucf_vit.training.inputs.statistics_files import find_statistics
from ucf_vit.training.saved_runs.open_trained import open_trained

MEDIAN = {"orientation": "RAS", "spacing": "median"}
SLICES = (1.0, 1.5, 2.0, 3.0)
"""Spacing of the last axis of each scan: the median of the three that train is 1.5 mm."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    """Four volumes with axes to the left, to the front and down, of different spacings."""
    root = shutil.copytree(concrete, tmp_path_factory.mktemp("scans") / "data")
    for folder in ("imagesTr", "labelsTr"):
        for path, step in zip(sorted((root / folder).iterdir()), SLICES, strict=True):
            place = np.diag([-1.0, 1.0, -step, 1.0])
            place[:3, 3] = 30, 10, 50
            image = nibabel.load(path)
            nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), place), path)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    """The config of a run that was trained for two steps."""
    path = tmp_path_factory.mktemp("run") / "c.yaml"
    config = runs.write_config(path, "segmentation", scans, trainer={"max_steps": 2}, data=MEDIAN)
    runs.train(config)
    return config


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluations/validation_best.json").read_text())


def test_the_median_of_the_training_items_is_kept_with_the_weights(trained: Path) -> None:
    meta = checkpoint.read_meta(trained.parent / "out/best")
    assert meta["record"]["grid"] == {"orientation": "RAS", "spacing": [1, 1, 1.5]}
    shapes = [
        tiling.shape
        for split in ("training", "validation")
        for one in build_datasets(load(trained), Scratch(), split)
        for tiling in one.tilings
    ]
    assert shapes[:3] == [(32, 32, 21), (32, 32, 32), (32, 32, 43)]
    record = open_trained(trained.parent / "out").record
    (held_out,) = build_datasets(load(trained), Scratch(), "validation", record=record)
    assert held_out.tilings[0].shape == (32, 32, 64)
    other = load(trained, ["data.dict_end_idx={tiny: 0.25}"])
    (held_out,) = build_datasets(other, Scratch(), "validation", record=record)
    assert held_out.grid.spacing == (1, 1, 1.5), "a checkpoint's spacing, not that of other training items"


def test_dice_is_that_of_whole_predictions_on_the_stored_grid(trained: Path, scans: Path) -> None:
    out = trained.parent / "out"
    evaluate_run(out, EvaluationRequest(threshold=True))
    found = results(out)
    grid = found["facts"]["Grid"]
    assert grid == (
        "tiny: items are predicted with orientation RAS, spacing 1 x 1 x 1.5 mm and compared on the grid on "
        "which they are stored"
    )
    opened = open_trained(out)
    datasets = build_datasets(opened.run, Scratch(), "validation", record=opened.record)
    totals = dice.empty_totals(4)
    for batch in volumes(datasets):
        with torch.no_grad():
            logits = opened.task.predict_whole(batch.image, batch.variables)
        (source,) = {one.source for one in datasets}
        (item,) = datasets[0].items
        predicted = classes_on_original(logits[0], source.grid(item))
        stored = nibabel.load(item.label)
        assert predicted.shape == stored.shape
        label = torch.from_numpy(np.asarray(stored.dataobj).astype(np.int64))
        totals += dice.totals_of_labels(predicted[None], label[None], 4)
    for name, value in dice.means(totals).items():
        assert found["metrics"]["segmentation"][name] == pytest.approx(value, rel=1e-5, nan_ok=True)
    assert 0 <= found["metrics"]["intensity threshold"]["dice"] <= 1


def test_another_spacing_is_named_beside_the_results(trained: Path) -> None:
    evaluate_run(trained.parent / "out", EvaluationRequest(), ["data.spacing=[2, 2, 2]"])
    facts = results(trained.parent / "out")["facts"]
    assert "data.spacing was 'median', is [2" in facts["Trained with other settings"].replace('"', "'")
    assert "spacing 2 x 2 x 2 mm" in facts["Grid"]


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path: Path, scans: Path, trained: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", scans, trainer={"max_steps": 1}, data=MEDIAN
    )
    runs.train(config)
    runs.train(config, "trainer.max_steps=2", "trainer.resume_from_checkpoint=true")
    assert runs.losses(tmp_path / "out") == runs.losses(trained.parent / "out")


def test_plans_count_the_tiles_after_resampling(trained: Path) -> None:
    run = load(trained, ["data.order=rank", "data.tile_overlap=0.0"])
    plan = draft(run, 1).plan
    (dataset,) = build_datasets(run, Scratch())
    assert len(dataset) == sum(int(np.ceil(side / 16)) * 4 for side in (21, 32, 43))
    assert plan.parts[0].tiles == len(dataset)


def test_prepared_data_has_the_grid_it_was_prepared_with(tmp_path: Path, trained: Path, capsys) -> None:
    run = load(trained)
    for _, _, origin, place, settings in origins(run, tmp_path, StorageOptions()):
        prepare(origin, place, settings)
    there = ["data.dataset=prepared", f"data.dict_root_dirs={{tiny: {tmp_path / 'tiny'}}}"]
    (direct,), (prepared,) = (build_datasets(one, Scratch()) for one in (run, load(trained, there)))
    assert prepared.value_options == direct.value_options
    for one, other in zip(direct.items, prepared.items, strict=True):
        first, second = direct.source.read(one), prepared.source.read(other)
        assert np.array_equal(first.image, second.image) and np.array_equal(first.label, second.label)
        before, after = direct.source.grid(one), prepared.source.grid(other)
        assert before.dump() == json.loads(json.dumps(after.dump()))
        assert np.array_equal(before.geometry.affine, prepared.source.geometry(other).affine)
    with pytest.raises(DataError, match=r"was prepared with .*1\.5.*requested are .*2.*prepare it again"):
        build_datasets(load(trained, [*there, "data.spacing=[2, 2, 2]"]), Scratch())
    as_prepared = load(trained, [*there, "data.spacing=as_stored", "data.orientation=as_stored"])
    assert build_datasets(as_prepared, Scratch())[0].value_options == direct.value_options
    evaluate_run(trained.parent / "out", EvaluationRequest(), there)
    assert "on which they were prepared" in results(trained.parent / "out")["facts"]["Grid"]


def test_statistics_belong_to_a_grid(tmp_path: Path, scans: Path) -> None:
    stats = {"dict_normalization": {"tiny": {"kind": "stats"}}}
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", scans, data={**MEDIAN, **stats})
    (dataset,) = build_datasets(load(config), Scratch(), statistics=False)
    find_statistics(dataset, load(config))
    assert build_datasets(load(config), Scratch())
    with pytest.raises(
        DataError, match=r"measured with spacing \[1\.0, 1\.0, 1\.5\], not \[2\.0, 2\.0, 2\.0\]"
    ):
        build_datasets(load(config, ["data.spacing=[2, 2, 2]"]), Scratch())


@pytest.mark.parametrize(
    "spacing", ["[1]", "[0, 1, 1]", "[1, -1, 1]", "mean", "1.5", "[1, 1, true]", "[1, 1, .inf]"]
)
def test_a_spacing_is_a_word_or_positive_numbers(trained: Path, spacing: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.spacing.*expected as_stored, median, or 2 or 3 numbers"):
        load(trained, [f"data.spacing={spacing}"])


def test_images_without_a_position_have_no_median(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images/a.npy", np.ones((16, 16, 16), np.float32))
    data = {"dataset": "npy_pairs", "spacing": "median", "dict_end_idx": {"tiny": 1.0}}
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, data=data)
    with pytest.raises(UserError, match=r"a\.npy: its source knows no spacing, so there is no median"):
        build_datasets(load(config), Scratch())


def test_runs_without_the_keys_are_as_before(tmp_path: Path, concrete: Path) -> None:
    run = load(runs.write_config(tmp_path / "c.yaml", "segmentation", concrete))
    assert (run.data.orientation, run.data.spacing, run.data.crop) == ("as_stored", "as_stored", "none")
    (dataset,) = build_datasets(run, Scratch())
    assert type(dataset.source).__name__ == "BasicCT" and not dataset.value_options
