"""`ucf-vit checkpoint`: shows a checkpoint, or exports its weights. Needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overwrite

app = typer.Typer(help="Show a checkpoint, or export its weights.", no_args_is_help=True)
Directory = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|CHECKPOINT", help="Directory of a run, or a checkpoint such as RUN/last.", parser=to_path
    ),
]


@app.callback()
def checkpoint() -> None:
    """Show a checkpoint, or export its weights."""


@app.command()
def show(path: Directory) -> None:
    """Print step, versions and layout, and name, shape, type and size of every weight."""
    from ucf_vit.checkpoint.inspect import describe

    typer.echo(describe(path))


@app.command()
def export(
    path: Directory,
    file: Annotated[Path, typer.Argument(metavar="FILE.safetensors", help="File to write.", parser=to_path)],
    averaged: Annotated[
        bool, typer.Option("--averaged", help="Export the moving average (trainer.ema_decay).")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write all weights of a checkpoint to one safetensors file, whatever layout they were saved in."""
    from ucf_vit.checkpoint.inspect import export_weights

    number = export_weights(path, file, averaged=averaged, overwrite=overwrite)
    typer.echo(f"wrote {file}: {number:,} parameters")
