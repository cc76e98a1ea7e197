"""The `ucf-vit` command, as typed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import runs
import ucf_vit
from ucf_vit.cli.main import app, guarded
from ucf_vit.core.errors import CheckpointError
from ucf_vit.registries.tasks import task_name


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_version_and_help() -> None:
    assert call("--version").strip() == ucf_vit.__version__
    for command in ("train", "evaluate", "config", "synth"):
        assert command in call("--help")


def test_explain_check_and_show(tmp_path: Path) -> None:
    config = str(runs.write_config(tmp_path / "c.yaml", "masked", tmp_path))
    assert "patch" in call("config", "explain", "model.patch_size")
    assert "good" in call("config", "check", config)
    assert "depth: 7" in call("config", "show", config, "model.depth=7")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("config check", "good, task token_segmentation"),
        ("config show", "task: token_segmentation"),
        ("mesh", "1 ranks"),
        ("plan", "tiles"),
    ],
)
def test_a_config_without_a_task_is_an_error_or_uses_the_option(
    tmp_path: Path, concrete: Path, command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete)
    values = yaml.safe_load(path.read_text())
    del values["trainer"]["task"], values["model"]["feature_size"]
    path.write_text(yaml.safe_dump(values))
    for name in ("token_segmentation", "sap"):
        assert said in call(*command.split(), str(path), "--task", name)
    with pytest.raises(SystemExit) as ended:
        guarded(app)([*command.split(), str(path)])
    assert ended.value.code == 2
    assert "token_segmentation or classification?" in capsys.readouterr().err


@pytest.mark.deep
def test_the_task_on_the_command_line_reaches_every_process(tmp_path: Path, concrete: Path) -> None:
    path = runs.write_config(tmp_path / "c.yaml", "token_segmentation", concrete, trainer={"max_steps": 1})
    values = yaml.safe_load(path.read_text())
    del values["trainer"]["task"], values["model"]["feature_size"]
    path.write_text(yaml.safe_dump(values))
    told = ["--task", "token_segmentation"]
    command = [sys.executable, "-m", "ucf_vit", "train", str(path), *told, "--nproc", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert saved["trainer"]["task"] == "token_segmentation"
    assert "Dice" in call("evaluate", str(path), *told)


def test_from_nothing_to_a_table(tmp_path: Path) -> None:
    call("synth", "basic_ct", str(tmp_path / "data"), "--number", "4", "--size", "24x24x32")
    mae = str(runs.write_config(tmp_path / "mae/c.yaml", "masked", tmp_path / "data"))
    unetr = str(
        runs.write_config(
            tmp_path / "unetr/c.yaml",
            "segmentation",
            tmp_path / "data",
            trainer={
                "use_pretrained_mae_model": True,
                "mae_checkpoint_path": str(tmp_path / "mae/out"),
                "mae_checkpoint_filename": "best",
                "pictures": True,
            },
            model={"tile_size": [24, 24, 24], "num_classes": 4},
        )
    )
    call("train", mae)
    call("train", unetr)
    log = (tmp_path / "unetr/out/log.txt").read_text()
    assert "changed (2 x 2 x 2 patches to 3 x 3 x 3): positions.table" in log
    table = call("evaluate", unetr, "--threshold")
    assert "Dice: class 3" in table
    assert "intensity threshold" in table
    files = ["config.yaml", "metrics.jsonl", "report.html", "best/model.safetensors", "pictures/loss.png"]
    assert all((tmp_path / "unetr/out" / name).is_file() for name in files)
    with pytest.raises(CheckpointError, match="nonsense"):
        call("evaluate", unetr, "--checkpoint", "nonsense")


@pytest.mark.parametrize("script", ["train_masked", "train_unetr", "train_classification"])
def test_the_scripts_do_what_the_command_does(
    tmp_path: Path, concrete: Path, coloured: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_name(script.removeprefix("train_"))
    root = coloured if task == "classification" else concrete
    commanded = runs.write_config(tmp_path / "a/c.yaml", task, root, trainer={"max_steps": 3})
    scripted = runs.write_config(tmp_path / "b/c.yaml", task, root, trainer={"max_steps": 3})
    call("train", str(commanded))
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "training_scripts")
    __import__(script).main(str(scripted))
    assert runs.losses(tmp_path / "b/out") == runs.losses(tmp_path / "a/out")


def test_a_bad_config_is_one_message_and_status_2(tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, model={"patch_sise": 4})
    command = [sys.executable, "-m", "ucf_vit", "config", "check", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "patch_sise" in done.stderr
    assert "patch_size" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path / "nowhere")
    with pytest.raises(SystemExit) as ended:
        guarded(app)(["train", str(config)])
    assert ended.value.code == 1
    assert "nowhere" in capsys.readouterr().err


def test_paths_in_arguments_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "data")
    call("synth", "basic_ct", "~/$DATA", "--number", "2", "--size", "16", "--picture", "~/picture.png")
    call("prepare", "~/${DATA}", "$HOME/out", "--dataset", "basic_ct", "--chunk", "8x8x8")
    call("prepare", "--verify", "~/out")
    call("prepare", str(runs.write_config(tmp_path / "c.yaml", "masked", Path("~/$DATA"))), "~/both")
    call("config", "check", "~/c.yaml", "trainer.checkpoint_path=~/out")
    call("visualize", "patches", "~/picture.png", "--output", "~/patches.png")
    call("plan", "~/c.yaml", "data.order=rank", "--out", "~/plan")
    found = {path.name for path in tmp_path.iterdir()}
    assert found >= {"data", "picture.png", "out", "both", "patches.png", "plan"}
    assert not any(path.name.startswith("~") for path in Path().iterdir())
