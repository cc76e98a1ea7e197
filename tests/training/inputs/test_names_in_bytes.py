"""Names that are no UTF-8, out of an old archive, go through everything that a run does."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import runs
from ucf_vit.cli.main import app, guarded
from ucf_vit.training.hooks.jsonl import read_metrics

pytestmark = pytest.mark.deep

ODD = os.fsdecode(b"M\xfcller")


def call(*arguments: str | Path) -> None:
    try:
        guarded(app)([str(argument) for argument in arguments])
    except SystemExit as end:
        assert not end.code


def test_train_plan_prepare_and_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.BytesIO()  # a terminal that knows UTF-8 alone, as strict as Python makes it
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="utf-8", write_through=True))
    noise = np.random.default_rng(0)
    root = tmp_path / ODD
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
        for number in range(4):
            np.save(root / folder / f"{ODD}{number}.npy", noise.integers(0, 4, (16, 16)).astype(np.float32))
    (root / f"{ODD}.txt").touch()
    model = {"tile_size": [16, 16], "adaptive_patching": True, "fixed_length": 16, "patch_size": 4}
    model["default_vars"] = ["i"]
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", Path("x"), model=model)
    again = [f"trainer.checkpoint_path={tmp_path}/run {ODD}", f"data.dict_root_dirs.tiny={root}"]
    again += ["data.dataset=npy_pairs", "data.num_workers=1", "trainer.pictures=true"]
    call("train", config, *again)
    call("train", config, *again, "trainer.max_epochs=3", "trainer.resume_from_checkpoint=true")
    call("evaluate", config, *again)
    call("plan", config, *again, "data.order=rank")
    call("plan", config, *again, "data.order=rank", "--check")
    call("prepare", root, tmp_path / f"prepared {ODD}", "--dataset", "npy_pairs", "--chunk", "8x8")
    call("visualize", "patches", root / f"images/{ODD}0.npy", "--output", tmp_path / f"{ODD}.png")
    call("checkpoint", "export", tmp_path / f"run {ODD}/best", tmp_path / f"{ODD}.safetensors")
    run = tmp_path / f"run {ODD}"
    assert (run / "report.html").stat().st_size > 0
    assert max(line["step"] for line in read_metrics(run / "metrics.jsonl")) == 3
    manifest = json.loads((tmp_path / f"prepared {ODD}/manifest.json").read_bytes())
    assert manifest["keys"] == [f"{ODD}{number}" for number in range(4)]
    assert "M\\udcfcller" in said.getvalue().decode()


def test_an_unreadable_file_of_such_a_name_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / f"images/{ODD}.npy").write_bytes(b"nothing")
    with pytest.raises(SystemExit):
        guarded(app)(["prepare", str(tmp_path), str(tmp_path / "out"), "--dataset", "npy_pairs"])
    assert "ller.npy: no readable .npy header" in capsys.readouterr().err
