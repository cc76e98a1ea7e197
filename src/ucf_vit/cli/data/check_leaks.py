"""`ucf-vit check-leaks`: copies of the items of one data set in another."""

from __future__ import annotations

from typing import Annotated

import typer

from ucf_vit.cli.config import Overrides


def check_leaks(
    first: Annotated[
        str, typer.Argument(metavar="A", help="Training items: a run, a checkpoint, a config or a root.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Held-out items: a config, a run or a root.")],
    overrides: Overrides = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="How roots are read, as data.dataset of a config.")
    ] = None,
    variables: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names of the channels of roots.")
    ] = None,
) -> None:
    """Name items of B that are copies of items of A: exact, flipped, re-windowed, resampled or cropped.

    Exit status 1 where there are some. Roots are read as the data set of the config or run, or by --dataset.
    """
    from ucf_vit.evaluation.check_leaks import Reading
    from ucf_vit.evaluation.check_leaks import check_leaks as search

    names = None if variables is None else [name.strip() for name in variables.split(",")]
    leaks = search(first, second, Reading(dataset, names), overrides or [])
    for line in leaks.found:
        typer.echo(line)
    typer.echo(f"{len(leaks.found)} of {leaks.total} items of {second} are copies of items of {first}")
    if leaks.found:
        raise typer.Exit(1)
