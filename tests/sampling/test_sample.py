"""`ucf-vit sample` and its comparison, on tiny runs that were really trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app, guarded
from ucf_vit.sampling import files
from ucf_vit.sampling.fidelity.compare import compare
from ucf_vit.sampling.sample import open_diffusion
from ucf_vit.sampling.tiles import TileFilter, tiles

DIFFUSION: dict[str, Any] = {"num_time_steps": 8, "noise_schedule": "cosine"}
FLAT = {**DIFFUSION, "tile_size": [16, 16]}
TREES = {**FLAT, "adaptive_patching": True, "fixed_length": 13, "patch_size": 4}


def trained(directory: Path, root: Path, model: dict[str, Any], **sections: dict[str, Any]) -> Path:
    """The directory of a run that was trained for a step."""
    trainer = {"max_epochs": 1, "max_steps": 1} | sections.pop("trainer", {})
    config = runs.write_config(
        directory / "c.yaml", "diffusion", root, model=model, trainer=trainer, **sections
    )
    runs.train(config)
    return directory / "out"


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    return trained(tmp_path_factory.mktemp("flat"), concrete, FLAT)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, coloured: Path) -> Path:
    """A run on colour images that was told classes and data sets."""
    directory = tmp_path_factory.mktemp("told")
    config = runs.write_config(
        directory / "c.yaml",
        "classification",
        coloured,
        trainer={"task": "diffusion", "max_epochs": 1},
        model={**FLAT, **runs.TASKS["diffusion"], "conditions": ["class", "dataset"], **DIFFUSION},
    )
    runs.train(config)
    return directory / "out"


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["sample", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message with which `ucf-vit sample` ends."""
    with pytest.raises(SystemExit) as ended:
        guarded(app)(["sample", *map(str, arguments)])
    assert ended.value.code in (1, 2)
    return capsys.readouterr().err


def values(folder: Path, name: str = "ct") -> np.ndarray:
    with np.load(folder / files.VALUES) as stored:
        assert stored.files == [name]
        return stored[name]


def test_a_sample_depends_on_its_number_alone(tmp_path: Path, flat: Path) -> None:
    said = call(flat, "--number", 5, "--steps", 4, "--out", tmp_path / "a")
    assert "5 samples of" in said and "best" in said and "s each on cpu" in said
    call(flat / "best", "--number", 3, "--steps", 4, "--batch-size", 2, "--out", tmp_path / "b")
    call(flat, "--number", 3, "--steps", 4, "--seed", 1, "--out", tmp_path / "c")
    five, three, other = (values(tmp_path / name) for name in "abc")
    assert five.shape == (5, 16, 16) and five.dtype == np.float32
    np.testing.assert_allclose(five[:3], three, atol=1e-4)
    assert np.abs(three - other).max() > 0.1
    assert np.abs(five[0] - five[1]).max() > 0.1
    about = json.loads((tmp_path / "a" / files.SETTINGS).read_text())
    assert about["steps"] == 4 and about["variables"] == ["ct"]
    with Image.open(tmp_path / "a" / files.PICTURE) as picture:
        assert picture.format == "PNG"


def test_ddpm_adds_noise_and_replaces_what_was_there(tmp_path: Path, flat: Path) -> None:
    call(flat, "--number", 2, "--out", tmp_path)
    first = values(tmp_path)
    call(flat, "--number", 2, "--sampler", "ddpm", "--out", tmp_path, "--overwrite")
    assert np.abs(values(tmp_path) - first).max() > 0.1
    call(flat, "--number", 2, "--out", tmp_path, "--overwrite")
    np.testing.assert_array_equal(values(tmp_path), first)


def test_the_newest_checkpoint_where_there_is_no_best(tmp_path: Path, flat: Path) -> None:
    shutil.copytree(flat, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/best")
    (tmp_path / "run/config.yaml").unlink()
    assert "last_" in call(tmp_path / "run", "--number", 1, "--steps", 1)
    assert (tmp_path / "run/samples" / files.VALUES).is_file()


def test_volumes_are_nifti_files(tmp_path: Path, concrete: Path) -> None:
    run = trained(tmp_path, concrete, DIFFUSION)
    said = call(run, "--number", 3, "--steps", 2, "--compare")
    volumes = sorted((run / "samples").glob("*.nii.gz"))
    assert [path.name for path in volumes] == [f"sample_00{i}.nii.gz" for i in range(3)]
    volume = nibabel.load(volumes[0])
    assert volume.shape == (16, 16, 16) and volume.get_data_dtype() == np.float32
    np.testing.assert_array_equal(volume.affine, np.eye(4))
    assert "3 are few" in said
    found = json.loads((run / "samples" / files.FIDELITY).read_text())
    assert found["tiles_of_each"] == 3 and found["tiles"] == {"training": 24, "held_out": 8}
    with Image.open(run / "samples" / files.NEIGHBOURS) as picture:
        assert picture.format == "PNG"


def test_trees_are_those_of_tiles(tmp_path: Path, concrete: Path) -> None:
    run = trained(tmp_path, concrete, TREES)
    said = call(run, "--number", 3, "--steps", 2, "--out", tmp_path / "a")
    assert "along the trees of 3 held-out and 0 training tiles" in said
    call(run, "--number", 2, "--steps", 2, "--batch-size", 1, "--out", tmp_path / "b")
    np.testing.assert_allclose(values(tmp_path / "a")[:2], values(tmp_path / "b"), atol=1e-4)
    many = ["--number", "300", "--steps", "1", "--batch-size", "100"]
    one = "data.dict_end_idx={tiny: 0.25}"
    said = call(run, one, *many, "--out", tmp_path / "c")
    assert "along the trees of 128 held-out and 128 training tiles, in turn" in said
    said = call(run, one, "data.dict_val_start_idx={tiny: 1.0}", *many, "--out", tmp_path / "d")
    assert "along the trees of 0 held-out and 128 training tiles, in turn" in said


def test_a_tree_for_each_variable(tmp_path: Path, coloured: Path) -> None:
    model = {**TREES, **runs.TASKS["diffusion"], **DIFFUSION, "use_varemb": True, "separate_channels": True}
    config = runs.write_config(
        tmp_path / "c.yaml",
        "classification",
        coloured,
        trainer={"task": "diffusion", "max_epochs": 1, "max_steps": 1},
        model=model,
    )
    runs.train(config)
    said = call(tmp_path / "out", "--number", 5, "--steps", 2, "--batch-size", 2, "--compare")
    assert "(variables red, green, blue)" in said
    with np.load(tmp_path / "out/samples" / files.VALUES) as stored:
        assert stored["blue"].shape == (5, 16, 16)


def test_samples_are_conditioned(tmp_path: Path, told: Path) -> None:
    options = ["--number", "2", "--condition", "class=red"]
    assert "(class red)" in call(told, *options, "--guidance", 3, "--compare", "--out", tmp_path / "a")
    call(told, "trainer.data_type=bfloat16", *options, "--condition", "dataset=tiny", "--out", tmp_path / "b")
    with np.load(tmp_path / "a" / files.VALUES) as stored:
        assert stored.files == ["red", "green", "blue"]
    found = json.loads((tmp_path / "a" / files.FIDELITY).read_text())
    assert found["tiles"] == {"training": 6, "held_out": 2}
    assert found["sampling"]["conditions"] == {"class": "red"}
    assert "/red/" in found["nearest_training_tile"]["generated"][0]["file"]


def test_copies_are_found(flat: Path) -> None:
    run = open_diffusion(flat).run
    known = torch.cat([batch.image for batch, _ in tiles(run, TileFilter(), held_out=False)])
    seen = [tiles(run, TileFilter(), held_out=held_out) for held_out in (False, True)]
    found = compare(known[:50], *seen, seed=0, device=torch.device("cpu"))
    assert found.number == 50
    assert found.training_tiles == len(known) and found.held_out_tiles == 128
    assert torch.equal(found.nearest, torch.zeros(50))
    assert found.nearest_held_out.min() > 0.01
    assert found.generated < found.noise / 3 and found.floor < found.noise / 3


def test_impossible_samples_are_one_message(
    tmp_path: Path, flat: Path, told: Path, concrete: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    unknown = "class=rad: no such value (did you mean 'red'?); known: blue, green, red"
    assert unknown in refused(capsys, told, "--condition", "class=rad", *out)
    assert "did you mean 'class'" in refused(capsys, told, "--condition", "clas=1", *out)
    assert "NAME=VALUE" in refused(capsys, told, "--condition", "class", *out)
    assert "twice" in refused(capsys, told, "--condition", "class=red", "--condition", "class=blue", *out)
    assert "trained without conditions" in refused(capsys, flat, "--condition", "class=1", *out)
    assert "name a --condition" in refused(capsys, told, "--guidance", 2, *out)
    assert "trained with 8 steps" in refused(capsys, flat, "--steps", 9, *out)
    assert "--number 0" in refused(capsys, flat, "--number", 0, *out)
    assert "two samples" in refused(capsys, flat, "--number", 1, "--compare", *out)
    no_held_out = "data.dict_val_end_idx={tiny: 0.75}"
    assert "no held-out" in refused(capsys, flat, no_held_out, "--compare", *out)
    assert "ddpm has eta 1" in refused(capsys, flat, "--sampler", "ddpm", "--eta", "0.5", *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, flat, "--out", tmp_path / "file")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "sample_000.nii.gz").write_text("")
    assert "other samples (sample_000.nii.gz)" in refused(capsys, flat, "--out", tmp_path / "others")
    assert "no such checkpoint" in refused(capsys, tmp_path / "nowhere")
    assert "no checkpoint in it" in refused(capsys, tmp_path)
    masked = runs.write_config(tmp_path / "mae/c.yaml", "masked", concrete, trainer={"max_steps": 1})
    runs.train(masked)
    assert "task masked" in refused(capsys, tmp_path / "mae/out")
