"""`ucf-vit plan`: plans which data rank reads which tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Config, Overrides, Overwrite, Task
from ucf_vit.config import load


def plan(
    config: Config,
    overrides: Overrides = None,
    task: Task = None,
    gpus: Annotated[int, typer.Option(min=1, help="Ranks, one per GPU (or die).")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory of the plan. Default: plan in trainer.checkpoint_path.", parser=to_path),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; check that the existing plan still fits.")
    ] = False,
    overwrite: Overwrite = False,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Directory of an earlier run with data.order global, whose times per tile are used.",
            parser=to_path,
        ),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Also draw the loads, to loads.png.")] = False,
) -> None:
    """Distribute tiles over ranks so that all finish at the same time, and write the plan.

    Only headers are read; a later call reads only those of new and changed files.
    """
    run = load(config, [*(overrides or []), "load_balancing.auto_load_balancing=true"], task=task)
    from ucf_vit.core.files.atomic_files import write_atomic
    from ucf_vit.training.inputs.plan_files import (
        FILE,
        PICTURE,
        check_plan,
        measured,
        plan_directory,
        plan_run,
    )
    from ucf_vit.training.inputs.plan_table import draw_loads, keys, table

    if profile is not None:
        run = measured(run, profile)
        typer.echo(f"load_balancing.tile_seconds={json.dumps(run.load_balancing.tile_seconds)}")
    directory = out or plan_directory(run.trainer.checkpoint_path)
    if check:
        planned = check_plan(run, gpus, directory)
    else:
        planned = plan_run(run, gpus, directory, overwrite=overwrite)
    for name, listed in planned.listed.items():
        typer.echo(f"{name}: {listed}")
    typer.echo(table(planned.plan))
    if planned.skipped:
        typer.echo(f"{planned.skipped} unreadable files are skipped")
    typer.echo(f"load_balancing:\n{keys(planned.plan, '  ')}")
    if report:
        write_atomic(directory / PICTURE, draw_loads(planned.plan))
        typer.echo(f"{directory / PICTURE}: the load of each data rank")
    state = "fits" if check else f"written, {planned.headers_read} headers read"
    typer.echo(f"{directory / FILE}: {state}")
