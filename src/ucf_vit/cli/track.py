"""`ucf-vit track`: MLflow's pages of tracked runs, and delivery of what waits on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.core.errors import UserError


def track(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Directory of a run; its store is shown.", parser=to_path),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Without RUN: an SQLite file of MLflow.", parser=to_path),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the pages.")] = 5000,
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Show nothing; deliver what a run has not delivered yet.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="Longest time to try to deliver, in seconds.")] = 600.0,
) -> None:
    """Open MLflow's pages of the store of RUN, on this machine only; or deliver what waits in RUN.

    Runs are tracked with trainer.hooks=[mlflow]: docs/tracking.md.
    """
    from ucf_vit.tracking.commands import deliver_run, open_pages, place_of

    if run is not None and deliver and store is None:
        typer.echo(deliver_run(run, wait))
    elif run is not None and store is None:
        open_pages(place_of(run), port)
    elif store is not None and run is None and not deliver:
        open_pages(store, port)
    else:
        raise UserError("name either a RUN or --store FILE; --deliver needs a RUN")
