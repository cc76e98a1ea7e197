"""`ucf-vit predict` of classifications: a table that a second call completes."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import runs
from remote_servers import Web
from ucf_vit.core.errors import UserError
from ucf_vit.data.formats.pictures import read_rgb
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.inference.writers.class_table import ClassTable
from ucf_vit.training.inputs.source_options import source_options
from ucf_vit.training.saved_runs.open_trained import open_trained

COLOURS = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, coloured: Path) -> Path:
    path = tmp_path_factory.mktemp("run") / "c.yaml"
    runs.train(runs.write_config(path, "classification", coloured, trainer={"max_steps": 4}))
    return path.parent / "out"


def predict(run: Path, output: Path, *inputs: object, **options: Any) -> None:
    predict_run(run, PredictionRequest(tuple(map(str, inputs)), output, **options))


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_row_has_the_class_and_all_probabilities(tmp_path: Path, run: Path, coloured: Path) -> None:
    """Values are those of the training: of the training's reader, resized and normalised."""
    predict(run, tmp_path, coloured / "red/7.png", coloured / "red/6.png")
    task, _ = open_trained(run)
    for name, row in zip(("7.png", "6.png"), rows(tmp_path), strict=True):
        pixels = read_rgb(coloured / "red" / name, (16, 16), 2**30)
        values = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        image = torch.from_numpy(values.astype(np.float32)).movedim(-1, 0)[None]
        with torch.inference_mode():
            expected = task.predict_whole(image)[0].softmax(0)
        assert row["file"] == name and row["class"] == COLOURS[int(expected.argmax())]
        found = [float(row[f"p_{colour}"]) for colour in COLOURS]
        assert found == pytest.approx(expected.tolist(), abs=2e-6)
    classes = json.loads((tmp_path / "classes.json").read_text())
    assert [one["name"] for one in classes] == COLOURS
    assert len({one["colour"] for one in classes}) == 3


def test_files_are_read_as_the_source_of_the_run_reads_them(run: Path) -> None:
    _, config = open_trained(run)
    assert source_options(config, "tiny", "files") == {"resize": [16, 16], "unit_range": True}


def test_files_of_a_web_server_are_read(tmp_path: Path, run: Path, coloured: Path, web: Web) -> None:
    shutil.copytree(coloured / "red", tmp_path / "web/red")
    predict(run, tmp_path / "url", f"{web.url}/red/7.png")
    predict(run, tmp_path / "path", coloured / "red/7.png")
    assert rows(tmp_path / "url") == rows(tmp_path / "path")


def test_a_second_call_completes_the_table(
    tmp_path: Path, run: Path, coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(coloured / "red", tmp_path / "in")
    (tmp_path / "in/3.png").unlink()
    predict(run, tmp_path / "o", tmp_path / "in")
    before = rows(tmp_path / "o")
    assert [row["file"] for row in before] == [f"{n}.png" for n in range(8) if n != 3]
    shutil.copy(coloured / "red/3.png", tmp_path / "in")
    (tmp_path / "in/8.png").write_bytes(b"none")
    with pytest.raises(UserError, match=r"1 input\(s\) could not be predicted: .*8\.png"):
        predict(run, tmp_path / "o", tmp_path / "in")
    assert "7 predicted already" in capsys.readouterr().out
    after = rows(tmp_path / "o")
    assert after[:7] == before and [row["file"] for row in after[7:]] == ["3.png"]


def test_classes_in_folders_are_the_layout_of_the_run(tmp_path: Path, run: Path, coloured: Path) -> None:
    predict(run, tmp_path, coloured)
    assert len(rows(tmp_path)) == 24 and rows(tmp_path)[0]["file"] == "blue/0.png"
    with pytest.raises(UserError, match="--probabilities are those of segmentations"):
        predict(run, tmp_path / "p", coloured, probabilities=True)


def test_a_table_of_other_classes_is_refused(tmp_path: Path) -> None:
    table = ClassTable(tmp_path / "t.csv", ["cat", "dog, small"])
    table.add("a.png", [0.25, 0.75])
    table.save()
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == 'a.png,"dog, small",0.250000,0.750000'
    assert "a.png" in ClassTable(tmp_path / "t.csv", ["cat", "dog, small"])
    with pytest.raises(UserError, match=r"t\.csv: has the columns file, class, p_cat, p_dog"):
        ClassTable(tmp_path / "t.csv", ["cat"])
