"""Every command that reads a data set says at the start what belongs to it, and what it passes over."""

import shutil
from pathlib import Path

from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_at_the_start_of_every_command(tmp_path: Path, concrete: Path) -> None:
    shutil.copytree(concrete, tmp_path / "ct")
    (tmp_path / "ct/labelsTr/nobody.nii.gz").touch()
    (tmp_path / "ct/imagesTr/._a.nii.gz").touch()
    told = "tiny: 4 items; 2 files passed over: 1 hidden (imagesTr/._a.nii.gz), "
    told += "1 labels without an image (nobody.nii.gz)"
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", tmp_path / "ct")
    assert told in call("train", config)
    assert told in (tmp_path / "out/log.txt").read_text()
    assert told in (tmp_path / "out/report.html").read_text()
    (tmp_path / "out/report.html").unlink()
    assert told in call("evaluate", config)
    assert told in (tmp_path / "out/report.html").read_text()
    assert told in call("plan", config, "data.order=rank")
    assert told in call("stats", config, "data.dict_normalization={tiny: {kind: stats}}")
    assert told.removeprefix("tiny: ") in call("prepare", config, tmp_path / "prepared")
    assert told.removeprefix("tiny: ") in call(
        "prepare", tmp_path / "ct", tmp_path / "other", "--dataset", "basic_ct"
    )
