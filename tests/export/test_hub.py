"""Folders in the hub's layout: loaded without this run, with a model card that says what it is."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.export.hub_model import HubModel
from ucf_vit.training.saved_runs.open_trained import open_trained


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(concrete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hub")
    runs.train(runs.write_config(place / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}))
    call("evaluate", place / "out")
    call("export", place / "out", "--to", "hub", "-o", place / "folder", "--licence", "mit")
    return place / "folder"


def test_the_network_is_loaded(folder: Path) -> None:
    trained = open_trained(folder.parent / "out", device="cpu")
    loaded = HubModel.from_pretrained(folder)
    image = torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(image), trained.task.model(image))
    assert not loaded.training and isinstance(loaded.network, nn.Module)


def test_post_processing_that_the_form_does_not_have_is_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = folder.parent / "out"
    chosen = {"step": 2, "classes": {"1": {"largest_component": True}}}
    (run / "postprocessing.json").write_text(json.dumps(chosen))
    call("export", run, "--to", "hub", "-o", tmp_path / "other")
    (run / "postprocessing.json").unlink()
    assert "without the post-processing of the run (class 1: largest component" in caplog.text


def test_it_is_saved_and_loaded_again(folder: Path, tmp_path: Path) -> None:
    loaded = HubModel.from_pretrained(folder)
    loaded.save_pretrained(tmp_path / "again")
    again = HubModel.from_pretrained(tmp_path / "again")
    for (name, one), other in zip(loaded.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == again.network.state_dict().keys()


@pytest.mark.parametrize("task", ["masked", "token_segmentation", "diffusion"])
def test_networks_of_other_tasks(task: str, concrete: Path, tmp_path: Path) -> None:
    runs.train(runs.write_config(tmp_path / "c.yaml", task, concrete, trainer={"max_steps": 1}))
    call("export", tmp_path / "out", "--to", "hub", "-o", tmp_path / "folder")
    loaded = HubModel.from_pretrained(tmp_path / "folder")
    expected = open_trained(tmp_path / "out", device="cpu").task.model.state_dict()
    for name, value in loaded.network.state_dict().items():
        assert torch.equal(value, expected[name])


def test_the_card_says_what_it_is_and_no_path(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "license": "mit",
        "library_name": "ucf_vit",
        "pipeline_tag": "image-segmentation",
        "tags": ["vision-transformer", "unetr"],
    }
    for part in (
        "Tiles of 16 x 16 x 16",
        "- tiny: variables ct",
        "| metric |",
        "1 items, evaluated",
        "minmax",
        "Trained on 3 items",
    ):
        assert part in " ".join(body.split()), part
    assert str(folder.parent) not in text
    assert "/imagesTr" not in (folder / "config.json").read_text()


def test_weights_that_could_run_code_are_not_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing; only weights as safetensors"):
        HubModel.from_pretrained(tmp_path)


def test_configs_of_other_networks_are_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for values, said in [
        (config | {"network": "os.system"}, "network 'os.system' is not one of"),
        (config | {"options": {"num_clases": 3}}, "not that of a network unetr"),
        (
            config | {"encoder": {"depth": 0}},
            r"config\.json: not that of a network unetr \(depth 0: expected",
        ),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(values))
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        with pytest.raises(UserError, match=said):
            HubModel.from_pretrained(tmp_path)
    config["encoder"]["embed_dim"] = 48
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not the weights of the network"):
        HubModel.from_pretrained(tmp_path)


def test_a_form_that_networks_here_cannot_have(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no plain ViT"):
        call("export", folder.parent / "out", "--to", "nnssl", "-o", tmp_path / "x")
