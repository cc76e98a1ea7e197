"""`ucf-vit weights`: shows, imports and exports weights of other programs. Needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Overwrite, Task
from ucf_vit.core.files.paths import path_or_url

app = typer.Typer(help="Show, import and export weights of timm, MONAI and others.", no_args_is_help=True)
Place = Annotated[
    str,
    typer.Argument(
        metavar="FILE|URL|CHECKPOINT",
        help="Weights: .safetensors, .pth, .pt, .ckpt, .bin, or a checkpoint such as RUN/best.",
        parser=path_or_url,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE.safetensors", help="File to write.", parser=to_path),
]


@app.callback()
def weights() -> None:
    """Show, import and export weights of timm, MONAI and others."""


@app.command()
def inspect(file: Place) -> None:
    """Print family, shapes and output of weights, and the keys of a config that fits them."""
    from ucf_vit.weights.describe import describe
    from ucf_vit.weights.open_weights import open_weights

    typer.echo(describe(open_weights(file, values=False)))


@app.command("import")
def import_(
    file: Place,
    like: Annotated[
        Path,
        typer.Option(metavar="CONFIG|RUN", help="Config of the network to fit them to.", parser=to_path),
    ],
    output: Output,
    overrides: Overrides = None,
    task: Task = None,
    overwrite: Overwrite = False,
) -> None:
    """Write weights fitted to the network of a config, for trainer.start_from; print what was taken.

    The same as a run does at its start with model.pretrained=FILE.
    """
    from ucf_vit.config import load
    from ucf_vit.core.files.paths import escaped
    from ucf_vit.training.saved_runs.weights_files import import_weights

    run = load(like, [*(overrides or []), f"model.pretrained={escaped(file)}"], task=task)
    typer.echo(import_weights(run, output, overwrite=overwrite))
    typer.echo(f"wrote {output}")
