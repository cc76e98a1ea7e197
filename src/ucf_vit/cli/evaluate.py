"""`ucf-vit evaluate`: what a trained run is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Task
from ucf_vit.core.errors import UserError


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CHECKPOINT|CONFIG",
            help="Directory of a run, one of its checkpoints (RUN/best), or its YAML file.",
            parser=to_path,
        ),
    ],
    overrides: Overrides = None,
    task: Task = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="best, last, last_even, ... Default: best, or the newest where there is no best."),
    ] = None,
    split: Annotated[
        Literal["validation", "test"] | None,
        typer.Option(help="Which of the run's items. Default: validation, on which best was chosen."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]ROOT", help="All items of other data; can be repeated."),
    ] = None,
    threshold: Annotated[
        bool, typer.Option("--threshold", help="Beside it, the best that thresholds on intensity reach.")
    ] = False,
    allow_trained: Annotated[
        bool, typer.Option("--allow-trained", help="Let items count that the checkpoint was trained on.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Directory to write to. Default: that of the run.", parser=to_path),
    ] = None,
) -> None:
    """Evaluate a trained run on held-out items, name these, and print a table.

    Items that were trained on are refused. KEY=VALUE change what RUN/config.yaml says.
    """
    if split and data:
        raise UserError(
            f"--split {split} are items of the run, --data is other data; leave one of the two out"
        )
    from ucf_vit.evaluation import Wanted, evaluate_run

    wanted = Wanted(checkpoint, split or "validation", tuple(data or ()), threshold, allow_trained, output)
    evaluate_run(run, wanted, overrides or [], task)
