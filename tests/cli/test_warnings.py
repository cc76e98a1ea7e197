"""Warnings about a config are said once, whatever loads it; others each time."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import runs
from ucf_vit.cli.main import guarded, run
from ucf_vit.config import load

UNUSED = "dataset_options.imagenet_resize is not used: no dataset has these names"
OPTIONS = {"imagenet_resize": {"other": [16, 16]}}


@pytest.fixture
def config(tmp_path: Path, concrete: Path) -> Path:
    parts = {"trainer": {"max_steps": 1}, "dataset_options": OPTIONS}
    return runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, **parts)


@pytest.mark.parametrize(("rank", "times"), [("0", 1), ("1", 0)])
def test_by_the_first_process_only(
    config: Path,
    rank: str,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**place, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    skipped = logging.getLogger("ucf_vit.inference")

    def twice() -> None:
        for _ in range(2):
            load(config)
            skipped.warning("skipped")

    guarded(twice)()
    said = capsys.readouterr().err
    assert said.count(UNUSED) == times and said.count("warning: skipped\n") == 2


def test_predictions_say_it_once(
    config: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.train(config)
    image = sorted((concrete / "imagesTr").iterdir())[0]
    folder = config.parent
    monkeypatch.setattr(sys, "argv", ["ucf-vit", "predict", f"{folder}/out", str(image), "-o", f"{folder}/o"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        run()
    assert not end.value.code
    assert capsys.readouterr().err.count(UNUSED) == 1


@pytest.mark.deep
def test_processes_say_it_once(config: Path) -> None:
    command = [sys.executable, "-m", "ucf_vit", "train", str(config), "data.batch_size=1", "--nproc", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count(UNUSED) == 1
