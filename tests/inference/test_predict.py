"""`ucf-vit predict` of segmentations: equal to an evaluation, on the stored grid, and complete."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import runs
from dicom_files import save_series
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.data.prepare.conversion import StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.tasks import dice
from ucf_vit.tasks.ensemble import MeanOfTiles, ensemble_of
from ucf_vit.training.inputs.prepare_datasets import origins
from ucf_vit.training.saved_runs.open_ensemble import open_ensemble
from ucf_vit.training.saved_runs.open_run import find_run
from ucf_vit.training.saved_runs.open_trained import open_trained

PLACED = (
    "dim",
    "pixdim",
    "qform_code",
    "sform_code",
    "qoffset_x",
    "quatern_b",
    "srow_x",
    "srow_z",
    "xyzt_units",
)
GRID = {"orientation": "RAS", "spacing": [1.0, 1.0, 1.5], "dict_end_idx": {"tiny": 0.5}}


def places() -> list[np.ndarray]:
    """Affines that are flipped, exchange axes, are anisotropic and oblique."""
    flipped = np.diag([-1.0, 1.0, -2.0, 1.0])
    exchanged = np.eye(4)[[1, 2, 0, 3]] * [1.5, 1.0, 0.8, 1.0]
    turned, angle = np.eye(4), 0.3
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = turned @ np.diag([1.0, -1.2, 3.0, 1.0])
    for affine in (flipped, exchanged, oblique):
        affine[:3, 3] = -40.3, 17, 5.25
    return [np.eye(4), flipped, exchanged, oblique]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    root = shutil.copytree(concrete, tmp_path_factory.mktemp("scans") / "data")
    for folder in ("imagesTr", "labelsTr"):
        for path, place in zip(sorted((root / folder).iterdir()), places(), strict=True):
            voxels = np.asarray(nibabel.load(path).dataobj)[:30, :27, :24]
            nibabel.save(nibabel.Nifti1Image(voxels, place), path)
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    """The directory of a run that was trained for a few steps on two of the scans, on another grid."""
    path = tmp_path_factory.mktemp("run") / "c.yaml"
    trainer = {"max_steps": 6, "max_epochs": 6}
    runs.train(runs.write_config(path, "segmentation", scans, trainer=trainer, data=GRID, model={"lr": 0.01}))
    return path.parent / "out"


def predict(run: Path, output: Path, *inputs: object, **options: Any) -> None:
    overrides = options.pop("overrides", ())
    predict_run(run, PredictionRequest(tuple(map(str, inputs)), output, **options), overrides)


def labels_in(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def held_out(scans: Path) -> list[Path]:
    return sorted((scans / "imagesTr").iterdir())[2:]


def test_dice_of_the_files_is_that_of_an_evaluation(tmp_path: Path, run: Path, scans: Path) -> None:
    evaluate_run(run, EvaluationRequest(output=tmp_path / "evaluation"))
    result = json.loads((tmp_path / "evaluation/evaluations/validation_best.json").read_text())
    predict(run, tmp_path / "o", *held_out(scans))
    totals = dice.empty_totals(4)
    for image in held_out(scans):
        found = labels_in(tmp_path / "o" / image.name)
        assert found.dtype == np.uint8 and len(np.unique(found)) > 1, "else every class is missed"
        true = labels_in(scans / "labelsTr" / image.name)
        pair = (torch.from_numpy(one.astype(np.int64))[None] for one in (found, true))
        totals += dice.totals_of_labels(*pair, 4)
    expected = {name: result["metrics"]["segmentation"][name] for name in dice.means(totals)}
    assert dice.means(totals) == pytest.approx(expected, rel=1e-12)


def test_headers_place_predictions_exactly_as_their_images(tmp_path: Path, run: Path, scans: Path) -> None:
    predict(run, tmp_path, scans / "imagesTr")
    for image in sorted((scans / "imagesTr").iterdir()):
        stored, found = nibabel.load(image), nibabel.load(tmp_path / image.name)
        assert found.shape == stored.shape
        for name in PLACED:
            assert found.header[name].tobytes() == stored.header[name].tobytes(), name


@pytest.mark.parametrize("place", places()[1:3], ids=["flipped", "exchanged"])
def test_the_same_scan_stored_otherwise_has_the_same_prediction(
    tmp_path: Path, run: Path, scans: Path, place: np.ndarray
) -> None:
    """A wrong axis or direction on the way back would be seen."""
    voxels = np.asarray(nibabel.load(held_out(scans)[0]).dataobj)
    scan = nibabel.Nifti1Image(voxels, place)
    (tmp_path / "in").mkdir()
    nibabel.save(scan, tmp_path / "in/stored.nii")
    nibabel.save(nibabel.as_closest_canonical(scan), tmp_path / "in/canonical.nii")
    predict(run, tmp_path / "o", tmp_path / "in")
    stored, canonical = (nibabel.load(tmp_path / f"o/{name}.nii") for name in ("stored", "canonical"))
    assert len(np.unique(stored.dataobj)) > 1
    same = np.asarray(nibabel.as_closest_canonical(stored).dataobj) == np.asarray(canonical.dataobj)
    assert same.mean() > 0.999


def test_probabilities_lie_on_the_stored_grid(tmp_path: Path, run: Path, scans: Path) -> None:
    image = held_out(scans)[0]
    predict(run, tmp_path, image, probabilities=True)
    labels = labels_in(tmp_path / image.name)
    with np.load(tmp_path / image.name.replace(".nii.gz", ".npz")) as arrays:
        found = arrays["probabilities"]
    assert found.shape == (4, *labels.shape) and found.dtype == np.float16
    assert np.abs(found.astype(float).sum(0) - 1).max() < 4e-3
    assert (found.argmax(0) == labels).mean() > 0.95, "both are interpolated, and not in the same order"


def test_a_second_call_makes_only_what_is_missing(
    tmp_path: Path, run: Path, scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = held_out(scans)
    predict(run, tmp_path, one)
    before = (tmp_path / one.name).stat()
    predict(run, tmp_path, one, two)
    told = capsys.readouterr().out
    assert "1 predicted already; replace them with --overwrite" in told
    assert f"1/1 {two.name}" in told and f"1/1 {one.name}" in told.partition("predicted already")[0]
    after = (tmp_path / one.name).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    predict(run, tmp_path, one, two, overwrite=True)
    assert (tmp_path / one.name).stat().st_ino != before.st_ino
    predict(run, tmp_path, one, probabilities=True)
    assert len(list(tmp_path.glob("*.npz"))) == 1, "the labels exist, the probabilities did not"


def test_bad_files_are_named_and_the_others_predicted(
    tmp_path: Path, run: Path, scans: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = held_out(scans)[0]
    shutil.copy(good, folder / "b.nii.gz")
    (folder / "a.nii.gz").write_bytes(good.read_bytes()[:5000])
    (folder / "c.nii.gz").write_bytes(b"no volume")
    (folder / "notes.txt").touch()
    arguments = ["predict", run, folder, tmp_path / "gone.nii", "-o", tmp_path / "o"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(result.exception, UserError) and result.exception.exit_code == 1
    message = str(result.exception)
    assert "3 input(s) could not be predicted" in message and "the others are done" in message
    assert all(name in message for name in ("a.nii.gz", "c.nii.gz", "gone.nii"))
    assert "1 of them new" in result.output + capsys.readouterr().out
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {"b.nii.gz", "classes.json", "prediction.json"}
    with pytest.raises(UserError, match=r"nothing to predict: .*gone\.nii: no such file"):
        predict(run, tmp_path / "p", tmp_path / "gone.nii")
    assert not (tmp_path / "p").exists()


def test_nothing_is_written_where_outputs_would_clash(tmp_path: Path, run: Path, scans: Path) -> None:
    image = held_out(scans)[0]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    shutil.copy(image, tmp_path / "one/a.nii.gz")
    nibabel.save(nibabel.load(image), tmp_path / "two/a.nii")
    before = (tmp_path / "one/a.nii.gz").read_bytes()
    with pytest.raises(UserError, match=r"one/a\.nii\.gz and .*two/a\.nii: both would be written as a"):
        predict(run, tmp_path / "o", tmp_path / "one", tmp_path / "two")
    with pytest.raises(UserError, match=r"--output .*a\.nii\.gz/o: no such directory can be made"):
        predict(run, tmp_path / "one/a.nii.gz/o", tmp_path / "two")
    with pytest.raises(UserError, match=r"one: holds inputs, such as .*a\.nii\.gz"):
        predict(run, tmp_path / "one", tmp_path / "one", overwrite=True)
    assert not (tmp_path / "o").exists() and (tmp_path / "one/a.nii.gz").read_bytes() == before
    label = shutil.copy(scans / "labelsTr" / image.name, tmp_path / "two/b.nii.gz")
    shutil.copy(image, tmp_path / "one/b.nii.gz")
    with pytest.raises(UserError, match=r"b\.nii\.gz: exists, and no prediction wrote it"):
        predict(run, tmp_path / "two", tmp_path / "one", overwrite=True)
    for name in ("classes.json", "prediction.json"):
        mine = tmp_path / f"mine_{name}" / name
        mine.parent.mkdir()
        mine.write_text('{"liver": 1}')
        with pytest.raises(UserError, match=f"{name}: exists, and no prediction wrote it"):
            predict(run, mine.parent, tmp_path / "one", overwrite=True)
        assert mine.read_text() == '{"liver": 1}'
    assert Path(label).read_bytes() == (scans / "labelsTr" / image.name).read_bytes()


def test_predictions_of_two_checkpoints_do_not_mix(tmp_path: Path, run: Path, scans: Path) -> None:
    one, two = held_out(scans)
    predict(run, tmp_path, one)
    with pytest.raises(UserError, match=r"best \(step \d+, .*overrides \[\]\), not of .*tile_overlap"):
        predict(run, tmp_path, two, overrides=["data.tile_overlap=0.25"])
    assert not (tmp_path / two.name).exists()
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        predict(run / "other", tmp_path, two)
    predict(run, tmp_path, two)
    before = (tmp_path / two.name).read_bytes()
    with pytest.raises(UserError, match=rf"not predicted now \({two.name}\), which would mix"):
        predict(run, tmp_path, one, overrides=["data.tile_overlap=0.25"], overwrite=True)
    assert (tmp_path / two.name).read_bytes() == before


def test_what_an_end_left_of_another_checkpoint_does_not_count(
    tmp_path: Path,
    run: Path,
    scans: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = held_out(scans)
    predict(run, tmp_path, one, two)
    other = ["data.tile_overlap=0.25"]

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr("ucf_vit.inference.predict_item.segment", end)
        predict(run, tmp_path, one, two, overrides=other, overwrite=True)
    capsys.readouterr()
    predict(run, tmp_path, one, two, overrides=other)
    assert "2 items to predict" in capsys.readouterr().out


def test_channels_that_are_not_read_are_named(
    tmp_path: Path, run: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = nibabel.load(held_out(scans)[0])
    values = np.asarray(image.dataobj)
    nibabel.save(nibabel.Nifti1Image(np.stack([values] * 2, axis=-1), image.affine), tmp_path / "two.nii")
    predict(run, tmp_path / "o", tmp_path / "two.nii")
    assert "two.nii: has 2 channels; the first 1 are taken as ct" in caplog.text


def test_a_data_set_is_read_in_its_layout(tmp_path: Path, run: Path, scans: Path) -> None:
    predict(run, tmp_path / "o", scans)
    predict(run, tmp_path / "p", f"tiny={scans / 'imagesTr'}")
    files = sorted(path.name for path in (scans / "imagesTr").iterdir())
    for name in files:
        assert np.array_equal(labels_in(tmp_path / "o" / name), labels_in(tmp_path / "p" / name))


def test_prepared_data_goes_back_to_the_grid_of_its_files(tmp_path: Path, run: Path, scans: Path) -> None:
    for _, _, origin, place, settings in origins(load(run), tmp_path, StorageOptions()):
        prepare(origin, place, settings)
    predict(run, tmp_path / "o", tmp_path / "tiny", dataset="prepared")
    predict(run, tmp_path / "p", held_out(scans)[0])
    name = held_out(scans)[0].name
    found, expected = (nibabel.load(tmp_path / folder / name) for folder in "op")
    assert np.array_equal(found.affine, expected.affine)
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))


def test_a_dicom_series_becomes_nifti_at_its_place(tmp_path: Path, run: Path) -> None:
    pytest.importorskip("pydicom", reason="needs pydicom: pip install 'ucf-vit[dicom]'")
    volume = np.random.default_rng(0).integers(0, 900, (20, 18, 10)).astype(np.int16)
    save_series(tmp_path / "series7", volume, orientation=(0, 1, 0, 0, 0, -1))
    predict(run, tmp_path / "o", tmp_path / "series7", format="nifti")
    found = nibabel.load(tmp_path / "o/series7.nii.gz")
    assert found.shape == volume.shape
    # Columns run to the back, rows down, slices by 2.5 mm to the right of the patient's left: all in LPS.
    expected = np.diag([-1.0, -1, 1]) @ np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]) * [0.7, 0.7, 2.5]
    assert np.allclose(found.affine[:3, :3], expected, atol=1e-5)


def test_slices_of_a_volume_are_predicted_by_a_model_of_images(tmp_path: Path, concrete: Path) -> None:
    flat = {"tile_size": [16, 16], "depth": 1, "feature_size": 4, "num_classes": 4, "default_vars": ["ct"]}
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}, model=flat
    )
    runs.train(config)
    image = sorted((concrete / "imagesTr").iterdir())[3]
    predict(tmp_path / "out", tmp_path / "o", image)
    task, _ = open_trained(tmp_path / "out")
    values = np.asarray(nibabel.load(image).dataobj).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    expected = [
        task.predict_whole(torch.from_numpy(values[None, None, ..., z]).contiguous())[0].argmax(0).numpy()
        for z in range(values.shape[-1])
    ]
    same = labels_in(tmp_path / "o" / image.name) == np.stack(expected, axis=-1)
    assert same.mean() > 0.9999


def test_adaptive_patches_are_those_of_the_training(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete, trainer={"max_steps": 2})
    runs.train(config)
    image = sorted((concrete / "imagesTr").iterdir())[3]
    predict(tmp_path / "out", tmp_path / "o", image)
    task, _ = open_trained(tmp_path / "out")
    values = np.asarray(nibabel.load(image).dataobj).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    with torch.inference_mode():
        expected = task.predict_whole(torch.from_numpy(values)[None, None])[0].argmax(0).numpy()
    assert np.array_equal(labels_in(tmp_path / "o" / image.name), expected)


def test_pictures_become_png_files_of_class_numbers(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((24, 20), np.uint8)
        mask[:, 10:] = 1
        pixels = noise.integers(0, 90, (24, 20, 3)).astype(np.uint8)
        pixels[..., 0] += 150 * mask
        Image.fromarray(pixels).save(tmp_path / f"data/images/{number}.png")
        Image.fromarray(mask).save(tmp_path / f"data/masks/{number}.png")
    flat = {"tile_size": [16, 16], "num_classes": 2, "default_vars": ["red", "green", "blue"], "lr": 0.01}
    trainer = {"max_steps": 20, "max_epochs": 20}
    data = {"dataset": "pairs", "batch_size": 3}
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", tmp_path / "data", trainer=trainer, model=flat, data=data
    )
    runs.train(config)
    predict(tmp_path / "out", tmp_path / "o", tmp_path / "data/images/3.png")
    found = np.asarray(Image.open(tmp_path / "o/3.png"))
    assert found.shape == (24, 20) and found.dtype == np.uint8
    assert (found == mask).mean() > 0.9
    predict(tmp_path / "out", tmp_path / "p", tmp_path / "data")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "p/3.png")), found)


def test_diffusion_models_are_refused(tmp_path: Path, concrete: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "diffusion", concrete, trainer={"max_steps": 1}))
    with pytest.raises(
        UserError, match=r"is of task diffusion; .*; images of a diffusion model by ucf-vit sample"
    ):
        predict(tmp_path / "out", tmp_path / "o", concrete / "imagesTr")


def test_classes_have_the_names_of_the_training_data(tmp_path: Path, concrete: Path) -> None:
    """Stored values are mapped to classes: names follow the classes, joined where several values are one."""
    root = shutil.copytree(concrete, tmp_path / "data")
    about = {
        "channel_names": {"0": "ct"},
        "labels": {"background": 0, "mortar": 1, "stone": 2, "pore": 3},
        "training": [
            {"image": f"./imagesTr/{p.name}", "label": f"./labelsTr/{p.name}"}
            for p in sorted((root / "imagesTr").iterdir())
        ],
    }
    (root / "dataset.json").write_text(json.dumps(about))
    data = {"dataset": "msd", "dict_label_mapping": {"tiny": {1: 2, 2: 2, 3: 1}}}
    config = runs.write_config(
        tmp_path / "c.yaml",
        "segmentation",
        root,
        trainer={"max_steps": 1},
        model={"num_classes": 3},
        data=data,
    )
    runs.train(config)
    shutil.move(root, tmp_path / "moved")
    predict(tmp_path / "out", tmp_path / "o", tmp_path / "moved")
    classes = json.loads((tmp_path / "o/classes.json").read_text())
    assert [one["name"] for one in classes] == ["background", "pore", "mortar + stone"]
    assert [one["number"] for one in classes] == [0, 1, 2]
    assert len(list((tmp_path / "o").glob("*.nii.gz"))) == 4


def test_an_ensemble_predicts_the_mean_of_its_members(tmp_path: Path, run: Path, scans: Path) -> None:
    """Of two checkpoints of the run, mirrored, also where images are resampled."""
    image = held_out(scans)[0]
    last = sorted(run.glob("last_*"))[0]
    predict(run, tmp_path / "o", image, ensemble=(last,), mirror=True, probabilities=True)
    about = json.loads((tmp_path / "o/prediction.json").read_text())
    assert about["mirror"] is True and len(about["checkpoint"]) == 2
    combined, members = open_ensemble([find_run(run), find_run(last)], mirror=True)
    with pytest.raises(UserError, match="named twice in an ensemble"):
        predict(run, tmp_path / "twice", image, ensemble=(last, run / "best"))
    assert combined.task.ensemble == MeanOfTiles(tuple(one.task for one in members), True)
    with np.load(tmp_path / "o" / image.name.replace(".nii.gz", ".npz")) as arrays:
        found = arrays["probabilities"].astype(np.float32)
    predict(run, tmp_path / "p", image, probabilities=True)
    with np.load(tmp_path / "p" / image.name.replace(".nii.gz", ".npz")) as arrays:
        assert np.abs(arrays["probabilities"] - found).max() > 1e-3
    with pytest.raises(UserError, match=r"holds predictions of .*mirrored\), not of"):
        predict(run, tmp_path / "o", image, ensemble=(last,))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> list[Path]:
    """Two runs on other items each, whose intensities have other means and deviations; beside the data."""
    root = shutil.copytree(concrete, tmp_path_factory.mktemp("folds") / "data")
    first = sorted((root / "imagesTr").iterdir())[0]
    stored = nibabel.load(first)
    values = np.asarray(stored.dataobj).astype(np.float32) * 3 + 500
    nibabel.save(nibabel.Nifti1Image(values, stored.affine), first)
    for name, begin, end in (("a", 0.0, 0.5), ("b", 0.25, 0.75)):
        data = {
            "dict_normalization": {"tiny": {"kind": "stats"}},
            "dict_start_idx": {"tiny": begin},
            "dict_end_idx": {"tiny": end},
            "dict_val_start_idx": {"tiny": 0.75},
        }
        given = {"trainer": {"max_steps": 4, "max_epochs": 4}, "data": data, "model": {"lr": 0.01}}
        config = runs.write_config(root.parent / name / "c.yaml", "segmentation", root, **given)
        assert CliRunner().invoke(app, ["stats", str(config)]).exit_code == 0
        runs.train(config)
    return [root.parent / name / "out" for name in "ab"]


def test_members_normalize_with_statistics_of_their_own(tmp_path: Path, folds: list[Path]) -> None:
    """In files and in an evaluation, also where the scan is smaller than a tile."""
    image = sorted((folds[0].parents[1] / "data/imagesTr").iterdir())[3]
    values = np.asarray(nibabel.load(image).dataobj)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(values[:11, :20, :17], np.eye(4)), tmp_path / "in/small.nii.gz")
    predict(folds[0], tmp_path / "o", tmp_path / "in", image, ensemble=(folds[1],), probabilities=True)
    moments = []
    for name, scan in ((image.name, values), ("small.nii.gz", values[:11, :20, :17])):
        logits = []
        for run in folds:
            trained = open_trained(run)
            how = trained.record.normalized["tiny"].how
            moments.append(how.mean)
            normal = (scan.astype(np.float32) - np.float32(how.mean[0])) / np.float32(how.std[0])
            with torch.inference_mode():
                logits.append(trained.task.predict_whole(torch.from_numpy(normal)[None, None], ["ct"])[0])
        expected = torch.stack(logits).mean(0).softmax(0).numpy()
        with np.load(tmp_path / "o" / name.replace(".nii.gz", ".npz")) as arrays:
            assert np.abs(arrays["probabilities"] - expected).max() < 2e-3
    assert abs(moments[0][0] - moments[1][0]) > 100
    found = evaluate_run(folds[0], EvaluationRequest(ensemble=(folds[1],)))
    true = folds[0].parents[1] / "data/labelsTr" / image.name
    files = (tmp_path / "o" / image.name, true)
    pair = (torch.from_numpy(labels_in(one).astype(np.int64))[None] for one in files)
    assert found is not None
    assert found.evaluation.metrics["segmentation"]["dice"] == pytest.approx(
        dice.means(dice.totals_of_labels(*pair, 4))["dice"], abs=1e-3
    )


def test_members_that_do_not_fit_are_refused(tmp_path: Path, run: Path, scans: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml",
        "segmentation",
        scans,
        trainer={"max_steps": 1},
        model={"num_classes": 5},
        data=GRID,
    )
    runs.train(config)
    with pytest.raises(UserError, match=r"have different numbers of classes: 5 and 4; the members"):
        predict(run, tmp_path / "o", held_out(scans)[0], ensemble=(tmp_path / "out",))
    grid = {**GRID, "spacing": [1.0, 1.0, 1.0]}
    config = runs.write_config(
        tmp_path / "d/c.yaml", "segmentation", scans, trainer={"max_steps": 1}, data=grid
    )
    runs.train(config)
    with pytest.raises(UserError, match=r"have different grids: .*spacing 1 x 1 x 1 mm and .*1 x 1 x 1.5 mm"):
        predict(run, tmp_path / "o", held_out(scans)[0], ensemble=(tmp_path / "d/out",))
    data = {**GRID, "dict_normalization": {"tiny": {"kind": "zscore"}}}
    config = runs.write_config(
        tmp_path / "e/c.yaml", "segmentation", scans, trainer={"max_steps": 1}, data=data
    )
    runs.train(config)
    with pytest.raises(UserError, match=r"have different normalization: \{'tiny': .*zscore.*\} and \{\}"):
        predict(run, tmp_path / "o", held_out(scans)[0], ensemble=(tmp_path / "e/out",))
    assert not (tmp_path / "o").exists()


def test_mirrored_tiles_get_trees_of_their_own(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete, trainer={"max_steps": 2})
    runs.train(config)
    image = sorted((concrete / "imagesTr").iterdir())[3]
    predict(tmp_path / "out", tmp_path / "o", image, mirror=True)
    task, _ = open_trained(tmp_path / "out")
    values = np.asarray(nibabel.load(image).dataobj).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    with torch.inference_mode():
        expected = ensemble_of([task], mirror=True).predict_whole(torch.from_numpy(values)[None, None])
        assert not torch.equal(expected, task.predict_whole(torch.from_numpy(values)[None, None]))
    assert np.array_equal(labels_in(tmp_path / "o" / image.name), expected[0].argmax(0).numpy())
