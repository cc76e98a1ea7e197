"""Trained runs in Python: predictions and metrics of the commands, in a program that stays as it was."""

import json
import logging
import random
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import runs
import ucf_vit
from ucf_vit.core.errors import UserError
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.tasks.postprocessing import ClassOptions, Postprocessing
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.postprocessing_file import Chosen, read_chosen

GRID = {"orientation": "RAS", "spacing": [1.0, 1.0, 1.5]}
PLACED = np.array([[0, 1.2, 0, 5], [-0.9, 0, 0, 7], [0, 0, 2.0, 1], [0, 0, 0, 1]])
"""Axes to the back and the right, and a spacing of 0.9 x 1.2 x 2 mm."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    root = tmp_path_factory.mktemp("scans")
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir()
        for path in sorted((concrete / folder).iterdir()):
            values = np.asarray(nibabel.load(path).dataobj)
            nibabel.save(nibabel.Nifti1Image(values[:20, :26, :18], PLACED), root / folder / path.name)
    return root


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> ucf_vit.Model:
    """Trained from a dictionary, on another grid than the stored one."""
    folder = tmp_path_factory.mktemp("run")
    config = runs.write_config(folder / "c.yaml", "segmentation", scans, trainer={"max_steps": 2}, data=GRID)
    return ucf_vit.train(yaml.safe_load(config.read_text()), ["trainer.log_steps=2"])


@pytest.fixture(scope="module")
def classification(tmp_path_factory: pytest.TempPathFactory, coloured: Path) -> ucf_vit.Model:
    config = runs.write_config(
        tmp_path_factory.mktemp("classes") / "c.yaml", "classification", coloured, trainer={"max_steps": 2}
    )
    return ucf_vit.train(config)


def images(scans: Path) -> list[Path]:
    return sorted((scans / "imagesTr").iterdir())


def test_a_file_is_segmented_as_the_command_does(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    image = images(scans)[3]
    found = segmentation.predict(image, probabilities=True)
    predict_run(segmentation.directory, PredictionRequest((str(image),), tmp_path / "o", probabilities=True))
    written = nibabel.load(tmp_path / "o" / image.name)
    assert found.labels is not None and np.array_equal(found.labels, np.asarray(written.dataobj))
    with np.load(tmp_path / "o" / image.name.replace(".nii.gz", ".npz")) as arrays:
        assert np.array_equal(found.probabilities, arrays["probabilities"])
    assert found.affine is not None and np.allclose(found.affine, PLACED)
    assert found.spacing == pytest.approx((0.9, 1.2, 2.0))
    assert sum(found.counts().values()) == found.labels.size
    saved = found.save(tmp_path)
    assert saved.name == image.name and saved.read_bytes() == (tmp_path / "o" / image.name).read_bytes()
    for folder in (f"{tmp_path}/made.for/", tmp_path / "made"):
        assert found.save(folder) == Path(folder) / image.name
    with pytest.raises(UserError, match=r"png takes no volumes"):
        found.save(tmp_path / "labels.png")


def test_an_array_with_the_place_of_the_file_gives_the_same(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    file = images(scans)[0]
    values = np.asarray(nibabel.load(file).dataobj)
    expected = segmentation.predict(file).labels
    found = segmentation.predict(values, affine=PLACED)
    assert np.array_equal(found.labels, expected)
    assert np.array_equal(
        segmentation.predict(torch.from_numpy(values)[None], affine=PLACED).labels, expected
    )
    again = nibabel.load(found.save(tmp_path / "a/b.nii.gz"))
    assert np.array_equal(np.asarray(again.dataobj), expected) and np.allclose(again.affine, PLACED)
    straight = segmentation.predict(values, spacing=(0.9, 1.2, 2.0))
    assert straight.affine is not None and np.allclose(straight.affine, np.diag([0.9, 1.2, 2.0, 1]))
    for wrong, options, message in (
        (values, {}, "so say where the voxels of the array are"),
        (values, {"spacing": (1, 2)}, "expected 3 positive numbers in mm"),
        (values, {"spacing": (1, 1, 1), "affine": PLACED}, "leave one of the two out"),
        (values[0], {"spacing": (1, 1, 1)}, r"expected real numbers \[1 \(ct\), X, Y, Z\]"),
        (file, {"spacing": (1, 1, 1)}, "its header has the spacing"),
        (values, {"affine": PLACED, "source": "files"}, "'files' reads paths; leave it out with arrays"),
    ):
        with pytest.raises(UserError, match=message):
            segmentation.predict(wrong, **options)  # type: ignore[call-overload]


def test_lists_and_iterators_stream_and_failures_are_told_at_the_end(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    expected = [path.name for path in images(scans)]
    assert [f"{one.name}.nii.gz" for one in segmentation.predict([scans / "imagesTr"])] == expected
    layout = segmentation.predict([scans], source="basic_ct")
    assert [f"{one.name.rpartition('/')[2]}.nii.gz" for one in layout] == expected
    for given in ([broken, *images(scans)[:2]], iter([broken, *images(scans)[:2]])):
        stream = segmentation.predict(given)
        assert [f"{next(stream).name}.nii.gz" for _ in range(2)] == expected[:2]
        assert not torch.is_inference_mode_enabled()
        with pytest.raises(UserError, match=r"1 input\(s\) could not be predicted: .*broken.nii.gz"):
            next(stream)
    with pytest.raises(UserError, match="holds 4 images; ask for those of a list"):
        segmentation.predict(scans / "imagesTr")


def test_classes_of_pictures_from_files_and_arrays(
    tmp_path: Path, classification: ucf_vit.Model, coloured: Path
) -> None:
    file = coloured / "green/0.png"
    found = classification.predict(file)
    assert found.classes == ("blue", "green", "red") and found.labels is None and found.spacing is None
    assert found.label == found.classes[int(np.argmax(found.probabilities))]
    values = np.asarray(Image.open(file))
    again = classification.predict(np.moveaxis(values, -1, 0))
    assert np.array_equal(again.probabilities, found.probabilities)
    with pytest.raises(UserError, match="a classification has no class per voxel"):
        found.save(tmp_path / "x.png")


def test_other_things_than_images_are_refused_and_every_type_of_number_is_read(
    segmentation: ucf_vit.Model,
) -> None:
    image = np.random.default_rng(0).integers(0, 99, (18, 20, 16)).astype(np.float32)
    expected = segmentation.predict(image, spacing=(1, 1, 1.5)).labels
    for same in (torch.from_numpy(image).bfloat16(), image.astype(">f8"), torch.from_numpy(image)[None]):
        assert np.array_equal(segmentation.predict(same, spacing=np.array([1, 1, 1.5])).labels, expected)
    assert segmentation.predict(image[:1], spacing=(1, 1, 1)).labels.shape == (1, 20, 16)
    for nothing in (None, 5):
        with pytest.raises(UserError, match="expected a path, an array"):
            segmentation.predict(nothing)
    for spacing in (2, "abc", (1, 1), (1, 1, 0)):
        with pytest.raises(UserError, match=r"spacing .*: expected 3 positive numbers in mm"):
            segmentation.predict(image, spacing=spacing)
    with pytest.raises(UserError, match=r"affine .*: expected numbers \[4, 4\]"):
        segmentation.predict(image, affine=np.eye(3))
    with pytest.raises(UserError, match="device 'tpu': expected auto"):
        ucf_vit.load(segmentation.directory.parent, device="tpu")
    with pytest.raises(UserError, match="split 'train': expected validation or test"):
        ucf_vit.evaluate(segmentation.directory.parent, split="train")


def test_labels_do_not_replace_an_image_or_a_folder(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    image = folder / "a.nii.gz"
    image.write_bytes(images(scans)[0].read_bytes())
    (tmp_path / "link").symlink_to(folder)
    prediction = segmentation.predict(image)
    for place in (image, folder, tmp_path / "link", tmp_path / "link/a.nii.gz"):
        with pytest.raises(UserError, match=r"(holds|is) the image.*a\.nii\.gz; save its labels in another"):
            prediction.save(place)
    assert image.read_bytes() == images(scans)[0].read_bytes()
    (tmp_path / "notes.zarr").mkdir()
    (tmp_path / "notes.zarr/notes.txt").write_text("kept")
    with pytest.raises(UserError, match=r"notes\.zarr: exists, and is no Zarr array"):
        prediction.save(tmp_path / "notes.zarr")
    assert (tmp_path / "notes.zarr/notes.txt").read_text() == "kept"
    assert prediction.save(tmp_path / "b.zarr") == prediction.save(tmp_path / "b.zarr"), "its own is replaced"


def test_two_models_side_by_side_say_what_they_are(
    segmentation: ucf_vit.Model, classification: ucf_vit.Model
) -> None:
    told = repr(segmentation)
    assert "segmentation, unetr with" in told and "step 2" in told and "spacing 1 x 1 x 1.5 mm" in told
    assert "blue, green, red" in repr(classification)
    facts = classification.pretrained_cfg
    assert facts["class_names"] == ("blue", "green", "red") and facts["input_size"] == (3, 16, 16)
    assert facts["normalization"]["tiny"].kind == "mean_std"


def test_features_of_a_scan_are_those_of_its_tiles(segmentation: ucf_vit.Model, scans: Path) -> None:
    found = segmentation.features(images(scans)[0], blocks=[0])
    tiles = len(found.tokens)
    assert tiles > 1 and found.tokens.shape == (tiles, 8, 24) and not found.tokens.requires_grad
    assert found.maps[0].shape == (tiles, 24, 2, 2, 2)


def test_reconstructions_are_those_of_the_command(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    model = ucf_vit.train(config)
    assert model.classes == ()
    assert model.features(np.zeros((16, 16, 16), np.float32)).tokens.shape == (1, 8, 24)
    image = images(concrete)[0]
    found = model.predict(image)
    predict_run(model.directory, PredictionRequest((str(image),), tmp_path / "o"))
    assert found.values is not None and set(found.values) == {"ct"}
    assert np.array_equal(found.values["ct"], nibabel.load(tmp_path / "o" / image.name).dataobj)
    assert "mm; values of ct)" in repr(found)
    saved = found.save(tmp_path / "p")
    assert (saved / image.name).read_bytes() == (tmp_path / "o" / image.name).read_bytes()
    plain = model.predict(np.asarray(nibabel.load(image).dataobj))
    assert np.array_equal(plain.values["ct"], found.values["ct"])
    assert [path.name for path in plain.save(tmp_path / "q").iterdir()] == ["array.npz"]
    with pytest.raises(UserError, match=r"a reconstruction is saved in a directory; leave \.gz out"):
        found.save(tmp_path / "x.nii.gz")
    with pytest.raises(UserError, match="a reconstruction has no classes, only values"):
        found.counts()
    with pytest.raises(UserError, match="a reconstruction has no classes, only values"):
        _ = found.label
    with pytest.raises(UserError, match="mirroring averages the logits of classes, and MaskedAutoencoding"):
        model.predict(image, mirror=True)


def test_diffusion_models_predict_nothing(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "diffusion", concrete, trainer={"max_steps": 1})
    model = ucf_vit.train(config)
    with pytest.raises(UserError, match="is of task diffusion; predictions are made by"):
        model.predict(np.zeros((16, 16, 16), np.float32))


def test_an_ensemble_a_mirrored_and_a_postprocessed_prediction_are_those_of_the_command(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    run, image = tmp_path / "run", images(scans)[3]
    shutil.copytree(segmentation.directory.parent, run)
    further = sorted(run.glob("last_*"))[0]
    Chosen(Postprocessing({number: ClassOptions(largest_component=True) for number in (1, 2, 3)}), 2).write(
        run
    )
    model = ucf_vit.load(run, ensemble=further)
    assert repr(model).count(", step 2") == 2
    asked: dict[str, Any] = {"mirror": True, "postprocess": False}
    for name, options in (("plain", {}), ("all", asked)):
        request = PredictionRequest((str(image),), tmp_path / name, ensemble=(further,), **options)
        predict_run(run, request)
        written = np.asarray(nibabel.load(tmp_path / name / image.name).dataobj)
        assert np.array_equal(model.predict(image, **options).labels, written)
    single = ucf_vit.load(run).predict(image).labels
    assert not np.array_equal(single, segmentation.predict(image).labels), "the largest components only"
    with pytest.raises(UserError, match="named twice in an ensemble"):
        ucf_vit.load(run, ensemble=[run])


def test_evaluate_returns_what_is_written(
    segmentation: ucf_vit.Model, scans: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = segmentation.directory.parent
    found = ucf_vit.evaluate(run)
    written = json.loads((run / "evaluations/validation_best.json").read_text())
    assert written["metrics"]["segmentation"] == dict(found.metrics["segmentation"])
    assert "report:" not in capfd.readouterr().out
    on_all = ucf_vit.evaluate(run, data=str(scans), allow_trained=True)
    assert len(next(iter(on_all.items.values()))) == 4


def test_evaluate_has_the_options_of_the_command(
    tmp_path: Path, segmentation: ucf_vit.Model, scans: Path
) -> None:
    run = shutil.copytree(segmentation.directory.parent, tmp_path / "run")
    further = sorted(run.glob("last_*"))[0]
    both = ucf_vit.evaluate(run, ensemble=further, output=tmp_path / "both")
    assert both.facts["Mean of"].count(str(run)) == 2
    ucf_vit.evaluate(run, choose_postprocessing=True)
    assert read_chosen(run) is not None
    assert "post-processed" not in " ".join(ucf_vit.evaluate(run, postprocess=False).notes)
    segmentation.predict(images(scans)[3]).save(tmp_path / "found" / images(scans)[3].name)
    names = ["stone", "void", "crack"]
    of_files = ucf_vit.evaluate(predictions=tmp_path / "found", labels=scans / "labelsTr", classes=names)
    assert {"stone", "void", "crack"} <= set(of_files.summary)
    for given, options, message in (
        (None, {}, "name either a run or --predictions"),
        (run, {"predictions": "found", "labels": "labels"}, "name either a run or --predictions"),
        (None, {"predictions": "found"}, "belong together"),
        (run, {"classes": names, "groups": "(.)"}, "--classes, --groups: not for a run"),
        (
            None,
            {"predictions": "o", "labels": "l", "split": "test", "ensemble": run},
            "--split, --with: not for",
        ),
        (
            run,
            {"split": "test", "data": "elsewhere"},
            "--split test selects items of the run, --data other data",
        ),
    ):
        with pytest.raises(UserError, match=message):
            ucf_vit.evaluate(given, **options)


def test_the_program_around_a_training_stays_as_it_was(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}, data={"num_workers": 1}
    )
    logger = logging.getLogger("ucf_vit")
    signals = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    threads = set(threading.enumerate())
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    handlers, level, count = list(logger.handlers), logger.level, torch.get_num_threads()
    ucf_vit.train(config)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert (logger.handlers, logger.level, torch.get_num_threads()) == (handlers, level, count)
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == signals
    assert set(threading.enumerate()) <= threads
    assert not torch.distributed.is_initialized()


class Interrupt(Hook):
    """Ctrl-C in the first step."""

    def on_step(self, state: RunState, metrics: object) -> None:
        if state.step == 1:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("foreground")
def test_an_interrupted_training_is_saved_and_gives_no_model(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 4})
    with pytest.raises(KeyboardInterrupt, match=r"saved; trainer\.resume_from_checkpoint=true continues"):
        ucf_vit.train(config, hooks=[Interrupt()])
    model = ucf_vit.train(config, ["trainer.resume_from_checkpoint=true"])
    assert runs.losses(model.directory.parent).keys() == {1, 2, 3, 4}
