"""`ucf-vit export`: a trained run for other tools. Needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overwrite


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CHECKPOINT", help="Run (its best checkpoint), or e.g. RUN/last.", parser=to_path
        ),
    ],
    to: Annotated[
        Literal["onnx", "torch", "bundle", "hub", "nnssl"], typer.Option(help="Form, see docs/export.md.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PATH", help="Folder or file to write.", parser=to_path),
    ],
    licence: Annotated[
        str, typer.Option("--licence", "--license", help="Of the weights, in model cards; such as mit.")
    ] = "unknown",
    overwrite: Overwrite = False,
) -> None:
    """Write a run as a folder or program that other tools run; its outputs are checked."""
    from ucf_vit.export.export_run import export_run

    export_run(run, to, output, licence=licence, overwrite=overwrite)
    typer.echo(f"wrote {output}")
