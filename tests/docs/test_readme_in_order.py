"""The commands and the Python of the README, in their order, as a new user types them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ucf_vit.synthetic import write_dataset

pytestmark = pytest.mark.deep

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "demo", "runs", "*.egg-info")


def call(line: str, folder: Path) -> str:
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def repository(folder: Path) -> Path:
    """A copy of the repository, whose environment is the one that runs the tests."""
    copy = shutil.copytree(ROOT, folder / "repository", ignore=LEFT_OUT)
    (copy / ".venv").mkdir()
    (copy / ".venv/bin").symlink_to(Path(sys.prefix) / "bin")
    (copy / ".venv/.ready").touch()
    return copy


def edit(config: Path, data: Path) -> None:
    """The paths and classes of a user's own scans, which are fewer than those of the example."""
    values = yaml.safe_load(config.read_text())
    values["data"]["dict_root_dirs"] = {"hippocampus": str(data)}
    values["input"]["default_vars"] = ["ct"]
    values["model"]["num_classes"] = 4
    config.write_text(yaml.safe_dump(values))


def test_all_blocks_are_tried() -> None:
    assert [language for language, _ in BLOCKS] == ["bash", "bash", "python"]
    assert BLOCKS[0][1].strip() == "make demo"


def test_the_first_minute(tmp_path: Path) -> None:
    """Its Dice is far above that of the best thresholds, as the README says."""
    copy = repository(tmp_path)
    assert "report.html" in call(BLOCKS[0][1], copy)
    results = copy / "demo/unetr/evaluations/validation_best.json"
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["segmentation"]["dice"] > metrics["intensity threshold"]["dice"] + 0.05
    assert (copy / "demo/unetr/report.html").is_file()


def test_scans_of_ones_own(tmp_path: Path) -> None:
    list(write_dataset(str(tmp_path / "data"), number=5, size=(40, 48, 40), seed=0))
    (tmp_path / "scans").mkdir()
    for name, image in zip("ab", sorted((tmp_path / "data/imagesTr").iterdir()), strict=False):
        shutil.copy(image, tmp_path / f"scans/{name}.nii.gz")
    said = {}
    for line in BLOCKS[1][1].strip().splitlines():
        said[line.split()[1]] = call(line, tmp_path)
        if "config copy" in line:
            edit(tmp_path / "configs/basic_ct/unetr/base_config.yaml", tmp_path / "data")
    assert list(said) == ["config", "train", "evaluate", "predict"]
    assert "dice" in said["evaluate"].lower() and "2 items, 2 of them new" in said["predict"]
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {"a.nii.gz", "b.nii.gz"}

    shutil.rmtree(tmp_path / "out")
    (tmp_path / "read.py").write_text(BLOCKS[2][1])
    call("python read.py", tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.nii.gz"]
