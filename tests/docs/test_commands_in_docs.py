"""Every `ucf-vit` command of the README and the guide is one, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from ucf_vit.cli.main import app
from ucf_vit.config.examples import list_examples

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/prediction.md", "docs/evaluation.md", "docs/extending.md")


def commands(page: str) -> list[str]:
    """The commands in the blocks of a page, with their continued lines."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [line.partition("ucf-vit ")[2] for line in lines if line.startswith("ucf-vit ")]
    started = [line.partition("-m ucf_vit ")[2] for line in lines if "-m ucf_vit " in line]
    return [line.partition(" #")[0].strip() for line in (*found, *started)]


ALL = [(page, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), ALL, ids=lambda text: text[:50])
def test_a_command_is_parsed(page: str, line: str) -> None:
    """Down to the arguments of the command itself, which is not run."""
    command, words, context = typer.main.get_command(app), shlex.split(line), None
    while hasattr(command, "commands"):
        name, *words = words
        context = command.make_context("ucf-vit", [name, *words], parent=context)
        command = command.get_command(context, name)
        assert command is not None, f"{page}: no command {name}"
    command.make_context(name, list(words), parent=context)
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), f"{page}: no {word}"
    if line.startswith("config copy "):
        assert list_examples(words[0]), f"{page}: no example {words[0]}"


def test_there_are_commands() -> None:
    assert len(ALL) > 30


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_to_files_and_headings(page: str) -> None:
    text = (ROOT / page).read_text()
    for link in re.findall(r'(?:\]\(|src=")([^)"\s]+)', text):
        if link.startswith(("http", "mailto")):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, f"{page}: {link}"
