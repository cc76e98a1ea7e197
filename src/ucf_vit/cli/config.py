"""`ucf-vit config`: explains keys, checks and prints configs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.config import dump, load
from ucf_vit.config import explain as explain_key

app = typer.Typer(help="Explain keys; check and print configs.", no_args_is_help=True)

Config = Annotated[
    Path,
    typer.Argument(metavar="CONFIG|RUN", help="YAML file of a run, or its directory.", parser=to_path),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="E.g. model.depth=6")]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The task, if CONFIG does not name it: segmentation, ..., or path/to/file.py:Class.",
    ),
]


@app.command()
def explain(key: Annotated[str, typer.Argument(help="Section or key, e.g. adaptive.fixed_length")]) -> None:
    """Print the meaning of a key, its type, unit and default."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    typer.echo(explain_key(key, width))


@app.command()
def check(config: Config, overrides: Overrides = None, task: Task = None) -> None:
    """Check a config; a wrong one gives one message and exit status 2."""
    run = load(config, overrides or [], task=task)
    typer.echo(f"{config}: good, task {run.task}")


@app.command()
def show(config: Config, overrides: Overrides = None, task: Task = None) -> None:
    """Print the config with all defaults filled in."""
    typer.echo(dump(load(config, overrides or [], task=task)), nl=False)
