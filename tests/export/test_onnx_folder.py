"""The exported folder, run by its own program in an environment without this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.export.onnx_folder import RUNNER


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


DATA = {
    "percentiles, resampled": {
        "dict_normalization": {"tiny": {"kind": "percentiles", "low": 2, "high": 98}},
        "spacing": [1.3, 0.7, 1.0],
        "orientation": "RAS",
    },
    "cropped, thick slices": {
        "dict_normalization": {"tiny": {"kind": "zscore"}},
        "spacing": [1.2, 1.2, 3.9],
        "orientation": "RAS",
        "crop": "nonzero",
    },
}


@pytest.fixture(scope="module")
def scan(concrete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of other sides, that lies turned and has an empty border."""
    source = next((concrete / "imagesTr").glob("*.nii*"))
    values = np.asanyarray(nibabel.load(source).dataobj)[:29, :24, :20].copy()
    values[:3] = values[..., -2:] = 0
    affine = np.array([[0, -1.1, 0, 5], [0.9, 0, 0, -3], [0, 0, 1.3, 7], [0, 0, 0, 1.0]])
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize("name", DATA)
def test_labels_are_those_of_predict(name: str, concrete: Path, scan: Path, tmp_path: Path) -> None:
    """Run by a Python that sees only the packages which the program needs."""
    config = runs.write_config(
        tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 8}, data=DATA[name]
    )
    runs.train(config)
    call("predict", tmp_path / "out", scan, "-o", tmp_path / "predicted")
    call("export", tmp_path / "out", "--to", "onnx", "-o", tmp_path / "folder")
    packages = tmp_path / "site"
    packages.mkdir()
    for module in (np, nibabel, onnxruntime):
        where = Path(module.__file__).parents[1]
        for found in [
            *where.glob(f"{module.__name__}*"),
            *where.glob("packaging"),
            *where.glob("typing_ext*"),
        ]:
            if not (packages / found.name).exists():
                (packages / found.name).symlink_to(found)
    alone = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "labels.nii.gz"
    command = [sys.executable, "-S", tmp_path / "folder" / "run.py", scan, "-o", out]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected, found = nibabel.load(tmp_path / "predicted" / "scan.nii.gz"), nibabel.load(out)
    assert np.array_equal(expected.affine, found.affine) and expected.shape == found.shape
    labels = np.asanyarray(expected.dataobj)
    assert len(np.unique(labels)) > 1
    assert (labels == np.asanyarray(found.dataobj)).mean() >= 0.9999
    assert found.get_data_dtype() == np.uint8
    classes = json.loads((tmp_path / "folder" / "postprocessing.json").read_text())["classes"]
    assert str(out) in done.stdout and set(done.stdout.split()[1:]) <= set(classes)


def test_the_program_is_short() -> None:
    assert len(RUNNER.read_text().splitlines()) <= 150
