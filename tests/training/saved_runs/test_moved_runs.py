"""A run's directory that was renamed, copied or is seen from elsewhere is the run's directory everywhere."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.config import load

ADAPTIVE = {"adaptive_patching": True, "fixed_length": 15}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Path:
    """The directory of a run of one epoch, that tests copy."""
    directory = tmp_path_factory.mktemp("original")
    runs.train(
        runs.write_config(directory / "c.yaml", "masked", concrete, trainer={"max_epochs": 1}, model=ADAPTIVE)
    )
    return directory / "out"


@pytest.fixture
def moved(tmp_path: Path, original: Path) -> Path:
    return shutil.copytree(original, tmp_path / "archive")


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def content(directory: Path) -> dict[str, bytes]:
    """All but the log, which the process that wrote it goes on writing to."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != "log.txt"]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_its_directory_wins_and_that_is_told(moved: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = load(moved / "config.yaml")
    assert run.trainer.checkpoint_path == str(moved)
    assert str(moved) in caplog.text and "original" in caplog.text
    caplog.clear()
    assert load(moved).trainer == run.trainer
    assert not caplog.records, "whoever names the directory knows where it is"


def test_an_override_and_other_files_say_where_to(moved: Path, tmp_path: Path) -> None:
    elsewhere = load(moved / "config.yaml", [f"trainer.checkpoint_path={tmp_path / 'new'}"])
    assert elsewhere.trainer.checkpoint_path == str(tmp_path / "new")
    other = shutil.copy(moved / "config.yaml", moved / "mine.yaml")
    assert "original" in load(other).trainer.checkpoint_path
    for checkpoint in ("best", "last_even", "last_odd"):
        shutil.rmtree(moved / checkpoint, ignore_errors=True)
    assert load(moved).trainer.checkpoint_path == str(moved), "a run that has saved nothing yet"
    (moved / "run.json").unlink()
    assert "original" in load(moved / "config.yaml").trainer.checkpoint_path, "no run lies there"


def test_a_run_that_was_not_moved_is_as_it_says(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(original.parent)
    (tmp_path / "link").symlink_to(original)
    for path in (original, Path("out"), Path("out/config.yaml"), tmp_path / "link/config.yaml"):
        assert load(path).trainer.checkpoint_path == str(original)
    monkeypatch.chdir(original)
    assert load("config.yaml").trainer.checkpoint_path == str(original)
    assert not caplog.records


def test_a_relative_path_does_not_depend_on_where_one_stands(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = {"max_steps": 1, "checkpoint_path": "relative"}
    runs.train(runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=trainer))
    assert load("relative").trainer.checkpoint_path == "relative"
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert Path(load("../relative").trainer.checkpoint_path).resolve() == tmp_path / "relative"
    monkeypatch.chdir(tmp_path / "relative")
    assert Path(load("config.yaml").trainer.checkpoint_path).resolve() == tmp_path / "relative"


def test_every_command_takes_the_directory(original: Path, moved: Path, tmp_path: Path) -> None:
    before = content(original)
    call("train", moved, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    assert "resumed from" in (moved / "log.txt").read_text()
    assert max(runs.losses(moved)) > max(runs.losses(original))
    call("plan", moved / "config.yaml")
    assert (moved / "plan/plan.npz").is_file()
    call("visualize", "patches", moved, "--output", tmp_path / "patches.png")
    call("evaluate", moved)
    assert content(original) == before


def test_training_anew_is_refused_as_in_any_directory_of_a_run(moved: Path, original: Path) -> None:
    before = content(original)
    result = CliRunner().invoke(app, ["train", str(moved / "config.yaml")])
    assert result.exit_code != 0
    assert "holds a run already" in str(result.exception)
    assert content(original) == before
