"""`ucf-vit evaluate`: metrics of a trained run on held-out items."""

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
        typer.Option(help="best, last, last_even, ... Default: best, or the newest if there is no best."),
    ] = None,
    split: Annotated[
        Literal["validation", "test"] | None,
        typer.Option(help="Items of the run. Default: validation, on which best was chosen."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]ROOT", help="All items of other data; repeatable."),
    ] = None,
    threshold: Annotated[
        bool, typer.Option("--threshold", help="Compare with the best intensity thresholds.")
    ] = False,
    allow_trained: Annotated[
        bool,
        typer.Option(
            "--allow-trained", "--allow-overlap", help="Include items that the checkpoint was trained on."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Directory to write to. Default: that of the run.", parser=to_path),
    ] = None,
) -> None:
    """Evaluate a trained run on held-out items; print the items and a table of metrics.

    Items that were trained on are refused. KEY=VALUE override RUN/config.yaml.
    """
    if split and data:
        raise UserError(
            f"--split {split} selects items of the run, --data other data; leave one of the two out"
        )
    from ucf_vit.evaluation import EvaluationRequest, evaluate_run
    from ucf_vit.evaluation.terminal import show, show_files

    request = EvaluationRequest(
        checkpoint, split or "validation", tuple(data or ()), threshold, allow_trained, output
    )
    results = evaluate_run(run, request, overrides or [], task, show)
    if results is not None:
        show_files(results.files)
