"""`ucf-vit visualize patches`, as typed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_commands import call

import runs
from ucf_vit.cli.main import app, guarded

ADAPTIVE: dict[str, Any] = {"adaptive_patching": True, "fixed_length": 22, "patch_size": 4}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message with which `ucf-vit visualize patches` ends."""
    with pytest.raises(SystemExit) as ended:
        guarded(app)(["visualize", "patches", *map(str, arguments)])
    assert ended.value.code in (1, 2)
    return capsys.readouterr().err


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def test_an_image_a_volume_and_an_array(tmp_path: Path, coloured: Path, concrete: Path) -> None:
    output = tmp_path / "new" / "a.png"
    photo = next((coloured / "red").iterdir())
    call("visualize", "patches", str(photo), "--output", str(output), "--length", "20", "--patch-size", "4")
    wide, high = size(output)
    volume = next((concrete / "imagesTr").iterdir())
    call("visualize", "patches", str(volume), "--output", str(output), "--detail", "variance")
    assert size(output) != (wide, high)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((37, 51)))
    said = call("visualize", "patches", str(tmp_path / "a.npy"), "--output", str(output))
    assert said.strip() == f"wrote {output}"


def test_a_picture_for_each_data_set_of_a_config(tmp_path: Path, concrete: Path) -> None:
    roots = {"near": str(concrete), "far": str(concrete)}
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        concrete,
        model=ADAPTIVE,
        data={"dict_root_dirs": roots, "dict_end_idx": dict.fromkeys(roots, 1.0)},
    )
    output = tmp_path / "p.png"
    call("visualize", "patches", str(config), "model.fixed_length=29", "--output", str(output))
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["p_far.png", "p_near.png"]


def test_the_picture_of_a_config_is_that_of_its_report(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        concrete,
        model=ADAPTIVE,
        trainer={"max_epochs": 1, "pictures": True},
    )
    call("visualize", "patches", str(config), "--output", str(tmp_path / "p.png"))
    runs.train(config)
    drawn = tmp_path / "out" / "pictures" / "patches_tiny.png"
    assert drawn.read_bytes() == (tmp_path / "p.png").read_bytes()
    assert 'alt="patches_tiny"' in (tmp_path / "out" / "report.html").read_text()


def test_what_cannot_be_drawn_is_one_message(
    tmp_path: Path, concrete: Path, coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next((coloured / "red").iterdir())
    plain = runs.write_config(tmp_path / "plain.yaml", "masked", concrete)
    empty = runs.write_config(
        tmp_path / "empty.yaml", "masked", concrete, model=ADAPTIVE, data={"dict_end_idx": {"tiny": 0.01}}
    )
    assert "no such file" in refused(capsys, tmp_path / "none.png")
    assert "no keys" in refused(capsys, photo, "model.depth=6")
    assert "itself" in refused(capsys, photo, "--output", photo)
    assert ".png" in refused(capsys, photo, "--output", tmp_path / "a.jpg")
    assert "no leaf" in refused(capsys, photo, "--min-leaf", "99")
    assert "gradient" in refused(capsys, photo, "--detail", "gradeint")
    assert "odd" in refused(capsys, photo, "--smoothing", "2")
    assert "model.fixed_length" in refused(capsys, plain, "--length", "4")
    assert "model.adaptive_patching" in refused(capsys, plain, "--output", tmp_path / "a.png")
    assert "dict_end_idx" in refused(capsys, empty, "--output", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
