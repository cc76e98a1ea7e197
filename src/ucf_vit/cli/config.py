"""`ucf-vit config`: explains keys, checks and prints configs; lists and copies examples."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import matching, to_path
from ucf_vit.config import dump, load
from ucf_vit.config import explain as explain_key
from ucf_vit.config.describe.keys import keys
from ucf_vit.config.examples import copy_examples, list_examples, title_of
from ucf_vit.registries.tasks import TASKS

app = typer.Typer(help="Explain keys; check and print configs; copy examples.", no_args_is_help=True)

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
        autocompletion=lambda incomplete: matching(TASKS, incomplete),
        help="The task, if CONFIG does not name it: segmentation, ..., or path/to/file.py:Class.",
    ),
]


@app.command()
def explain(
    key: Annotated[
        str,
        typer.Argument(
            help="Section or key, e.g. adaptive.fixed_length",
            autocompletion=lambda incomplete: matching(keys(), incomplete),
        ),
    ],
) -> None:
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


@app.command("list")
def list_all(
    pattern: Annotated[
        str, typer.Argument(metavar="GLOB", help="E.g. 'basic_ct/*', 'launch/*'; '*' for all.")
    ] = "configs/*",
) -> None:
    """List example configs, and with a pattern training scripts and launch files, each with its purpose."""
    names = list_examples(pattern)
    width = max(map(len, names), default=0)
    for name in names:
        typer.echo(f"{name:<{width}}  {title_of(name)}")


@app.command()
def copy(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|GLOB",
            help="E.g. basic_ct/unetr/demo, 'basic_ct/*', or 'launch/*'.",
            autocompletion=lambda incomplete: matching(_short_names(), incomplete),
        ),
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Directory to copy into, by default this.", parser=to_path)
    ] = Path(),
    overwrite: Overwrite = False,
) -> None:
    """Copy an example config to DIR/configs/NAME.yaml; other files to DIR with their folders."""
    for path in copy_examples(name, directory, overwrite):
        typer.echo(f"wrote {path}")


def _short_names() -> list[str]:
    return [name.removeprefix("configs/").removesuffix(".yaml") for name in list_examples("*")]
