"""`ucf-vit checkpoint`: what is in a checkpoint, and weights out of it as one file. Needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overwrite

app = typer.Typer(help="Look into a checkpoint, or take its weights out.", no_args_is_help=True)
Directory = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT", help="Its directory, such as RUN/best; RUN/last: the newer one.", parser=to_path
    ),
]


@app.callback()
def checkpoint() -> None:
    """Look into a checkpoint, or take its weights out."""


@app.command()
def show(path: Directory) -> None:
    """Print step, versions, layout and, of every weight, name, shape, type and size."""
    from ucf_vit.checkpoint.inspect import describe

    typer.echo(describe(path))


@app.command()
def export(
    path: Directory,
    file: Annotated[Path, typer.Argument(metavar="FILE.safetensors", help="File to write.", parser=to_path)],
    averaged: Annotated[
        bool, typer.Option("--averaged", help="Their moving average (trainer.ema_decay).")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the whole weights of a checkpoint to one safetensors file, whatever layout wrote them."""
    from ucf_vit.checkpoint.inspect import export_weights

    number = export_weights(path, file, averaged=averaged, overwrite=overwrite)
    typer.echo(f"wrote {file}: {number:,} parameters")
