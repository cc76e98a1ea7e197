"""Every counterpart that the page names is there, and is right."""

import re
from pathlib import Path

import pytest
import typer

from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.registries.tasks import task_name

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming_from_ucf_vit.md").read_text()
ROWS = [
    tuple(cell.strip() for cell in row) for row in re.findall(r"^\| (`.+?) \| (.+) \|$", PAGE, re.MULTILINE)
]
FILES = [
    (there, here)
    for there, here in ROWS
    if re.match(r"`(configs|launch|training_scripts|utils|apptainer|Docker)/", there)
]
NAMED = sorted({name for _, here in FILES for name in re.findall(r"`([a-z_]+/[^`]+)`", here)})
COMMANDS = sorted(set(re.findall(r"`ucf-vit ([a-z]+)", PAGE)))


def test_every_file_there_has_a_row() -> None:
    """The number of files of each kind in the repository that the page speaks of."""
    folders = [there.strip("`").split("/")[0] for there, _ in FILES]
    kinds = {folder: folders.count(folder) for folder in folders}
    assert kinds == {
        "configs": 8,
        "training_scripts": 9,
        "utils": 2,
        "launch": 17,
        "apptainer": 2,
        "Docker": 1,
    }


@pytest.mark.parametrize("name", NAMED)
def test_a_counterpart_is_there_and_is_accepted(name: str) -> None:
    path = ROOT / name
    assert path.is_file()
    if path.suffix == ".yaml":
        run = load(path)
        assert run.task == task_name(path.parent.name)
        assert run.data.dataset == path.parents[1].name
    if path.suffix == ".py":
        compile(path.read_text(), name, "exec")


def test_every_counterpart_has_a_name() -> None:
    for there, here in FILES:
        assert re.search(r"`([a-z_]+/[^`]+|ucf-vit [a-z]+)`", here), there


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_named_is_there(command: str) -> None:
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]
