"""`ucf-vit visualize patches`, as typed."""

import re
from pathlib import Path
from typing import Any

import nibabel
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
    again = ("--output", str(output), "--overwrite")
    call("visualize", "patches", str(volume), *again, "--detail", "variance")
    assert size(output) != (wide, high)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((37, 51)))
    said = call("visualize", "patches", str(tmp_path / "a.npy"), *again)
    assert said.startswith(f"wrote {output}: 36 x 48, 216 tokens of 2 x 2")
    assert re.search(r"leaves of [24] to \d+ pixels, pasted back: [\d.]+ dB\n", said)
    assert "\nthe patches are nearly uniform (leaves of 2 to 4 pixels): detail canny" in said, "noise alone"


def test_the_next_fewer_tokens_that_a_tree_can_have(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((32, 32, 32)))
    arguments = ["visualize", "patches", str(tmp_path / "a.npy"), "--output", str(tmp_path / "a.png")]
    said = call(*arguments, "--length", "60")
    assert "57 tokens of" in said and "\n57 tokens, not 60: this tile can have 1 + 7n, up to 4,096\n" in said
    assert ", not" not in call(*arguments, "--length", "57", "--overwrite")


def test_values_of_a_png_keep_their_brightness(tmp_path: Path) -> None:
    for value in (0, 200):
        Image.new("L", (64, 64), value).save(tmp_path / "flat.png")
        call("visualize", "patches", str(tmp_path / "flat.png"), "--output", str(tmp_path / f"{value}.png"))
        with Image.open(tmp_path / f"{value}.png") as drawn:
            greys = drawn.convert("L").histogram()
        assert greys[value] > 0.2 * sum(greys)


def test_tokens_and_leaves_of_different_sides(tmp_path: Path) -> None:
    np.save(tmp_path / "slab.npy", np.random.default_rng(0).random((32, 32, 16)))
    options = ["--patch-size", "8x8x4", "--output", str(tmp_path / "p.png"), "--overwrite"]
    said = call("visualize", "patches", str(tmp_path / "slab.npy"), *options)
    assert "32 x 32 x 16, " in said and "tokens of 8 x 8 x 4" in said
    assert "leaves of 8 x 8 x 4 to 16 x 16 x 8 pixels" in said
    said = call("visualize", "patches", str(tmp_path / "slab.npy"), *options, "--min-leaf", "2x2x2")
    assert "leaves of 8 to 16 pixels" in said


def test_a_nifti_file_of_two_axes_is_an_image(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), tmp_path / "d2.nii")
    said = call("visualize", "patches", str(tmp_path / "d2.nii"), "--output", str(tmp_path / "p.png"))
    assert "32 x 32, " in said


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
    for run in ("out", "out/last"):
        call("visualize", "patches", str(tmp_path / run), "--output", str(tmp_path / "p.png"), "--overwrite")
        assert drawn.read_bytes() == (tmp_path / "p.png").read_bytes()
    assert 'alt="patches_tiny"' in (tmp_path / "out" / "report.html").read_text()


def test_an_image_that_cannot_be_drawn_is_one_message(
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
    assert "--min-leaf 0: expected sides" in refused(capsys, photo, "--min-leaf", "0")
    assert "--patch-size 8x: expected sides" in refused(capsys, photo, "--patch-size", "8x")
    assert "patch_size [8, 8, 8] has 3 entries" in refused(capsys, photo, "--patch-size", "8x8x8")
    assert "use input.patch_size=[8,8,4]" in refused(capsys, plain, "--patch-size", "8x8x4")
    assert "gradient" in refused(capsys, photo, "--detail", "gradeint")
    assert "--smoothing 2: expected an odd" in refused(capsys, photo, "--smoothing", "2")
    keys = "use adaptive.fixed_length=57 adaptive.detail_smoothing=[5]"
    assert keys in refused(capsys, plain, "--length", "57", "--smoothing", "5")
    assert "adaptive.adaptive_patching" in refused(capsys, plain, "--output", tmp_path / "a.png")
    assert "dict_end_idx" in refused(capsys, empty, "--output", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
