"""`ucf-vit predict` on several processes: each item once, failures of any process, one table."""

import csv
import os
import shutil
import subprocess
import sys
from multiprocessing.context import BaseContext
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import runs
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.inference.shares import share_of


@given(sizes=st.lists(st.integers(1, 1000), max_size=30), ranks=st.integers(1, 7))
def test_every_item_is_in_one_share_and_loads_are_balanced(sizes: list[int], ranks: int) -> None:
    shares = [share_of(rank, ranks, sizes) for rank in range(ranks)]
    assert sorted(number for share in shares for number in share) == list(range(len(sizes)))
    loads = [sum(sizes[number] for number in share) for share in shares]
    ordered = sorted(sizes, reverse=True)
    least = max([sum(sizes) / ranks, *ordered[:1], *(2 * one for one in ordered[ranks : ranks + 1])])
    assert max(loads) <= 4 / 3 * least + 1e-9


def _predict_rank(environment: dict[str, str], run: Path, *arguments: str) -> None:
    os.environ |= environment
    from ucf_vit.cli.main import app, guarded

    guarded(lambda *given: app(list(given)))("predict", str(run), *arguments)


def predict_on_two(forkserver: BaseContext, run: Path, *arguments: object) -> list[int | None]:
    return runs.on_ranks(forkserver, 2, run, *map(str, arguments), target=_predict_rank)


def labels_in(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.deep
def test_two_processes_share_volumes(tmp_path: Path, concrete: Path, forkserver: BaseContext) -> None:
    """A second call makes what is missing; a damaged file of the other process is named, with status 1."""
    runs.train(runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}))
    run, scans = tmp_path / "out", concrete / "imagesTr"
    assert predict_on_two(forkserver, run, scans, "-o", tmp_path / "two") == [0, 0]
    predict_run(run, PredictionRequest((str(scans),), tmp_path / "one"))
    names = sorted(path.name for path in scans.iterdir())
    for name in names:
        assert np.array_equal(labels_in(tmp_path / "one" / name), labels_in(tmp_path / "two" / name))
    folder, output = shutil.copytree(scans, tmp_path / "in"), tmp_path / "two"
    bad, gone = (names[share_of(rank, 2, [1] * len(names))[0]] for rank in (1, 0))
    content = (folder / bad).read_bytes()
    (folder / bad).write_bytes(content[: len(content) * 9 // 10])
    (output / bad).unlink()
    (output / gone).unlink()
    kept = {path: path.stat().st_mtime_ns for path in output.glob("*.nii.gz")}
    assert predict_on_two(forkserver, run, folder, "-o", output) == [1, 0]
    assert {path.name for path in output.glob("*.nii.gz")} == set(names) - {bad}
    assert len(kept) == len(names) - 2 and all(path.stat().st_mtime_ns == t for path, t in kept.items())


def test_the_table_of_two_processes_is_that_of_one(
    tmp_path: Path, coloured: Path, forkserver: BaseContext
) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 2}))
    run = tmp_path / "out"
    assert predict_on_two(forkserver, run, coloured, "-o", tmp_path / "two") == [0, 0]
    predict_run(run, PredictionRequest((str(coloured),), tmp_path / "one"))
    two, one = (
        list(csv.reader((tmp_path / name / "predictions.csv").read_text().splitlines()))
        for name in ("two", "one")
    )
    assert [row[:2] for row in two] == [row[:2] for row in one] and len(one) == 25
    for row, expected in zip(two[1:], one[1:], strict=True):
        assert list(map(float, row[2:])) == pytest.approx(list(map(float, expected[2:])), abs=2e-6)


@pytest.mark.deep
def test_torchrun_starts_predictions(tmp_path: Path, concrete: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ucf_vit"]
    inputs = shutil.copytree(concrete / "imagesTr", tmp_path / "in")
    command = [sys.executable, *launcher, "predict", tmp_path / "out", inputs, "-o", tmp_path / "o"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "o").glob("*.nii.gz"))) == 4
    assert done.stdout.count("4 items, 4 of them new") == 1
    (inputs / "zzz.nii.gz").write_bytes(b"none")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "1 input(s) could not be predicted" in done.stderr
