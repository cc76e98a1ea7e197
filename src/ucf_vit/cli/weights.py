"""`ucf-vit weights`: shows, imports and exports weights of other programs. Needs no GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Overwrite, Task
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.lists import first_and_rest

app = typer.Typer(help="Show, import and export weights of timm, MONAI and others.", no_args_is_help=True)
Place = Annotated[
    str,
    typer.Argument(
        metavar="FILE|URL|CHECKPOINT",
        help="Weights: .safetensors, .pth, .pt, .ckpt, .bin, a run, or a checkpoint (RUN/best).",
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


@app.command()
def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CHECKPOINT", help="Run (its best checkpoint), or e.g. RUN/last.", parser=to_path
        ),
    ],
    output: Output,
    to: Annotated[
        Literal["ucf_vit", "timm", "monai"], typer.Option(help="Program whose names the weights get.")
    ] = "ucf_vit",
    overwrite: Overwrite = False,
) -> None:
    """Write the weights of a run for this package, timm or MONAI; averaged ones if there are any."""
    from ucf_vit.training.saved_runs.weights_files import export_weights

    left = export_weights(run, to, output, overwrite=overwrite)
    if left:
        typer.echo(f"left, since {to} has no place for them: {', '.join(first_and_rest(left, 5))}")
    typer.echo(f"wrote {output}")
