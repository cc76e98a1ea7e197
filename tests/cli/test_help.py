"""Help of every command and script, completion of names, and examples that come with the package."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ucf_vit.cli.main import app, guarded
from ucf_vit.config import load
from ucf_vit.config.examples import list_examples, title_of
from ucf_vit.core.errors import UserError

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "training_scripts").glob("*.py"))
CONFIGS = [name for name in list_examples("*") if name.startswith("configs/")]


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def commands() -> list[tuple[str, ...]]:
    """Every command, as the words that call it."""
    found: list[tuple[str, ...]] = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found += [(name,), *((name, other) for other in inner)]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_of_each_command_names_no_types_of_python(words: tuple[str, ...]) -> None:
    told = call(*words, "-h")
    assert told == call(*words, "--help")
    assert "Usage: " in told and not re.search(r"<[\w\[]", told)
    for internal in ("list[", "typing", "PosixPath", "int range", "None"):
        assert internal not in told


@pytest.mark.parametrize("group", [(), ("config",), ("weights",)], ids=" ".join)
def test_the_list_of_commands_has_whole_sentences(group: tuple[str, ...]) -> None:
    listed = call(*group, "-h").split("Commands:\n")[1]
    assert "..." not in listed and listed.rstrip().endswith(".")
    names = [words[len(group)] for words in commands() if words[: len(group)] == group != words]
    assert set(names) <= set(re.findall(r"^  (\S+)", listed, re.M)) and names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_it_is_called(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, status in ((["--help"], 0), (["-h"], 0), ([], 2)):
        monkeypatch.setattr(sys, "argv", [str(script), *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        assert ended.value.code == status
        assert f"python training_scripts/{script.name} CONFIG.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ucf-vit ev", "evaluate"),
        ("ucf-vit train c.yaml --task mas", "masked"),
        ("ucf-vit config copy basic_ct/unetr/d", "basic_ct/unetr/demo"),
        ("ucf-vit config explain adaptive.fix", "adaptive.fixed_length"),
    ],
)
def test_names_are_completed(typed: str, offered: str) -> None:
    words = typed.split()
    environment = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
        "_UCF_VIT_COMPLETE": "complete_bash",
    }
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'ucf-vit'; from ucf_vit.cli.main import run; run()",
    ]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.stdout.split() == [offered], done.stderr


def test_examples_are_listed_with_their_purpose() -> None:
    told = call("config", "list", "basic_ct/*/demo")
    assert [line.split()[0] for line in told.splitlines()] == [
        "configs/basic_ct/mae/demo.yaml",
        "configs/basic_ct/unetr/demo.yaml",
    ]
    assert "Pre-train a small 3D masked autoencoder" in told
    assert len(call("config", "list").splitlines()) == len(CONFIGS) > 15
    assert "training_scripts/train_sap.py" in call("config", "list", "*")
    assert all(title_of(name) for name in list_examples("*"))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_copied_config_is_good(name: str, tmp_path: Path) -> None:
    call("config", "copy", name, str(tmp_path))
    assert (tmp_path / name).read_text() == (ROOT / name).read_text()
    load(tmp_path / name)


def test_copies_replace_nothing_and_unknown_names_have_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    call("config", "copy", "basic_ct/unetr/demo")
    call("config", "copy", "launch/*")
    assert Path("configs/basic_ct/unetr/demo.yaml").is_file() and Path("launch/common.sh").is_file()
    Path("configs/basic_ct/unetr/demo.yaml").write_text("mine")
    for arguments, message in (
        (["basic_ct/unetr/demo"], "exists already; replace it with --overwrite"),
        (["basic_ct/unetr/dem"], "did you mean 'basic_ct/unetr/demo'"),
    ):
        with pytest.raises(SystemExit) as ended:
            guarded(app)(["config", "copy", *arguments])
        assert ended.value.code == UserError.exit_code
        assert message in capsys.readouterr().err
    assert Path("configs/basic_ct/unetr/demo.yaml").read_text() == "mine"
    call("config", "copy", "basic_ct/unetr/demo", "--overwrite")
    assert "segmentation" in Path("configs/basic_ct/unetr/demo.yaml").read_text()
