"""`ucf-vit weights`, and runs that start from files of other programs."""

import logging
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from typer.testing import CliRunner

import runs
from networks_of_others import randomised
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError, ConfigError


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ViT of timm for colour images."""
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    theirs = VisionTransformer(32, 8, embed_dim=24, depth=2, num_heads=2, num_classes=3)
    save_file(randomised(theirs).float().state_dict(), path)
    return path


def test_inspect(images: Path) -> None:
    lines = call("weights", "inspect", str(images)).splitlines()
    assert "timm VisionTransformer, 32 tensors" in lines[0]
    text = "\n".join(lines)
    assert "width 24, depth 2" in text and "patch 8 x 8, 3 channels, grid of patches 4 x 4" in text
    assert "output: class logits, 3 classes" in text
    assert "    embed_dim: 24\n    depth: 2\n    norm_eps: 1e-06\n  input:\n    patch_size: 8\n" in text
    assert "    tile_size: [32, 32]" in text


def test_inspect_tells_what_a_run_is(coloured: Path, tmp_path: Path) -> None:
    """Of a checkpoint, and of the files that are exported from it."""
    model = {"num_heads": 3, "tile_size": [16, 8]}
    config = runs.write_config(
        tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1}, model=model
    )
    runs.train(config)
    run, exported = str(tmp_path / "out"), tmp_path / "weights.safetensors"
    call("weights", "export", run, "-o", str(exported))
    call("export", run, "--to", "hub", "-o", str(tmp_path / "hub"))
    for place in (tmp_path / "out" / "last", exported, tmp_path / "hub" / "model.safetensors"):
        text = call("weights", "inspect", str(place))
        assert "width 24, depth 2, 3 heads\n" in text
        assert "output: class logits, 3 classes: blue, green, red\n" in text
        assert "trained for classification as vit, step 1\n" in text
        assert "channels: red, green, blue\n" in text and "    tile_size: [16, 8]" in text
        assert "    num_heads: 3\n" in text
    assert str(tmp_path).encode() not in (tmp_path / "hub" / "model.safetensors").read_bytes()


def test_a_run_starts_from_a_file(
    images: Path, concrete: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 1})
    with caplog.at_level(logging.INFO, "ucf_vit"):
        runs.train(config, f"model.pretrained={images}")
    text = caplog.text
    assert f"starting from {images} (timm VisionTransformer)" in text
    assert (
        "changed (inflated along the last axis, 8 deep (mean); 3 channels to 1 (mean)): embed.weight" in text
    )
    assert "changed (4 x 4 patches to 2 x 2; repeated 2 times along the last axis): positions.table" in text
    caplog.clear()
    with caplog.at_level(logging.INFO, "ucf_vit"):
        runs.train(tmp_path / "out", "trainer.resume_from_checkpoint=true", "trainer.max_epochs=3")
    assert "starting from" not in caplog.text
    call("evaluate", str(tmp_path / "out"), "model.pretrained=")


def test_import_writes_what_a_run_starts_with(images: Path, coloured: Path, tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1})
    out = tmp_path / "fitted.safetensors"
    text = call("weights", "import", str(images), "--like", str(config), "-o", str(out))
    assert "keeps its initial values: nothing" in text
    weights = load_file(out)
    assert torch.equal(weights["model.head.weight"], load_file(images)["head.weight"])
    with safe_open(out, "pt") as content:
        assert (content.metadata()["grid"], content.metadata()["patch"]) == ("2x2", "8x8")
    runs.train(config, f"trainer.start_from={out}")
    again = CliRunner().invoke(app, ["weights", "import", str(images), "--like", str(config), "-o", str(out)])
    assert "exists already; replace it with --overwrite" in str(again.exception)


def test_weights_of_a_run_go_to_another_grid_and_other_channels(
    concrete: Path, coloured: Path, tmp_path: Path
) -> None:
    """A checkpoint, and the file exported from it, know their grid, patch and channels."""
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(config)
    exported = tmp_path / "mae.safetensors"
    call("checkpoint", "export", str(tmp_path / "out" / "last"), str(exported))
    assert "grid of patches 2 x 2 x 2" in call("weights", "inspect", str(exported))
    texts = [
        call(
            "weights",
            "import",
            str(place),
            "--like",
            str(config),
            "-o",
            str(tmp_path / f"{number}.safetensors"),
            "input.tile_size=[16,16,32]",
        )
        for number, place in enumerate([exported, tmp_path / "out" / "last"])
    ]
    for text in texts:
        assert "changed (2 x 2 x 2 patches to 2 x 2 x 4): decoder.positions.table, positions.table" in text
    one, other = (load_file(tmp_path / f"{number}.safetensors") for number in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.start_from=x.safetensors"], "trainer.start_from is given too"),
        (["trainer.use_pretrained_mae_model=true"], "trainer.use_pretrained_mae_model is given too"),
        (["model.pretrained=", "model.pretrained_channels=[red]"], "model.pretrained is not set"),
    ],
)
def test_contradictions(overrides: list[str], said: str, concrete: Path, tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete)
    with pytest.raises(ConfigError, match=said):
        load(config, ["model.pretrained=weights.pth", *overrides])


def test_a_missing_file_is_named_before_training(concrete: Path, tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete)
    with pytest.raises(CheckpointError, match=r"absent\.pth does not exist"):
        runs.train(config, f"model.pretrained={tmp_path / 'absent.pth'}")
