"""`ucf-vit predict` of masked autoencoders: values as stored, at the place of the image, by variable."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import runs
from ucf_vit.core.errors import UserError
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.training.saved_runs.open_trained import open_trained


def predict(run: Path, output: Path, *inputs: object, **options: Any) -> None:
    predict_run(run, PredictionRequest(tuple(map(str, inputs)), output, **options))


def test_volumes_are_reconstructed_in_stored_values(tmp_path: Path, concrete: Path) -> None:
    """Patches that no window masks stay; the rest is what the task predicts."""
    runs.train(runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 2}))
    (tmp_path / "in").mkdir()
    values = np.asarray(nibabel.load(sorted((concrete / "imagesTr").iterdir())[0]).dataobj)[:30, :27, :24]
    place = np.diag([2.0, -1, 3, 1])
    nibabel.save(nibabel.Nifti1Image(values, place), tmp_path / "in/a.nii.gz")
    predict(tmp_path / "out", tmp_path / "o", tmp_path / "in")
    found = nibabel.load(tmp_path / "o/a.nii.gz")
    assert np.array_equal(found.affine, place) and found.get_data_dtype() == np.float32
    task, _ = open_trained(tmp_path / "out")
    low, high = float(values.min()), float(values.max())
    image = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    with torch.inference_mode():
        expected = task.predict_whole(torch.from_numpy(image)[None, None])[0, 0].numpy() * (high - low) + low
    assert np.allclose(np.asarray(found.dataobj), expected, atol=1e-3 * (high - low))
    assert np.abs(np.asarray(found.dataobj) - values).max() > 0.01 * (high - low)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"a.nii.gz", "prediction.json"}


def test_the_grid_of_the_file_is_that_of_the_reconstruction(tmp_path: Path, concrete: Path) -> None:
    grid = {"orientation": "RAS", "spacing": [0.06, 0.06, 0.05]}
    runs.train(
        runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1}, data=grid)
    )
    image = sorted((concrete / "imagesTr").iterdir())[0]
    predict(tmp_path / "out", tmp_path / "o", image)
    found, stored = nibabel.load(tmp_path / "o" / image.name), nibabel.load(image)
    assert found.shape == stored.shape and np.array_equal(found.affine, stored.affine)
    correlation = np.corrcoef(np.asarray(found.dataobj).ravel(), np.asarray(stored.dataobj).ravel())[0, 1]
    assert correlation > 0.3, "half of the patches are those of the image, at their place"


def test_fields_are_written_by_variable(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    stored = {}
    for number in range(4):
        fields = {
            "wind": 5 * noise.standard_normal((3, 16, 24)),
            "heat": 280 + noise.standard_normal((3, 16, 24)),
        }
        stored[number] = {name: one.astype(np.float32) for name, one in fields.items()}
        np.savez(tmp_path / f"data/{number}.npz", **stored[number])
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        tmp_path / "data",
        trainer={"max_steps": 1},
        model={"tile_size": [16, 16], "default_vars": ["wind", "heat"]},
        data={"dataset": "fields", "dict_normalization": {"tiny": {"kind": "zscore"}}},
    )
    runs.train(config)
    predict(tmp_path / "out", tmp_path / "o", tmp_path / "data")
    assert len(list((tmp_path / "o").glob("*.npz"))) == 12
    with np.load(tmp_path / "o/2.npz[1].npz") as found:
        assert set(found) == {"wind", "heat"} and found["heat"].shape == (16, 24)
        assert abs(float(found["heat"].mean()) - 280) < 2 and abs(float(found["wind"].mean())) < 3
        same = np.isclose(found["heat"], stored[2]["heat"][1], atol=1e-3)
        assert 0.1 < same.mean() < 0.9, "patches that no window masks are those of the field"


def test_ensembles_and_formats_are_refused(tmp_path: Path, concrete: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1}))
    image = sorted((concrete / "imagesTr").iterdir())[0]
    with pytest.raises(UserError, match="mirroring averages the logits of classes, and MaskedAutoencoding"):
        predict(tmp_path / "out", tmp_path / "o", image, mirror=True)
    with pytest.raises(UserError, match="--format nrrd is that of segmentations; task is masked"):
        predict(tmp_path / "out", tmp_path / "o", image, format="nrrd")
    assert not (tmp_path / "o").exists()
