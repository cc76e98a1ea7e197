"""`ucf-vit train`: trains a run."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from ucf_vit.cli.config import Config, Overrides, Task
from ucf_vit.config import load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import escaped
from ucf_vit.core.log import silent

Processes = Annotated[int, typer.Option("--nproc", min=1, help="Local processes to start, one per device.")]


def train(config: Config, overrides: Overrides = None, task: Task = None, nproc: Processes = 1) -> None:
    """Train, validate and checkpoint the run that CONFIG describes.

    trainer.resume_from_checkpoint=true resumes it.
    """
    with silent() if nproc > 1 else nullcontext():  # the processes say it again
        run = load(config, overrides or [], task=task)
    from ucf_vit.training.build import build_task
    from ucf_vit.training.launch import find_place, spawn, start
    from ucf_vit.training.run import train_task

    place = find_place()
    if nproc > 1 and place.size > 1:
        raise UserError(
            f"--nproc {nproc} starts processes on this machine, but {place.launcher} has started "
            f"{place.size} already; leave one of the two out"
        )
    if nproc > 1:
        check_ranks(run, nproc)
        task_option = ["--task", task] if task else []
        raise typer.Exit(spawn(nproc, ["train", escaped(str(config)), *(overrides or []), *task_option]))
    with start(run) as world:
        train_task(build_task(run), run, world)
