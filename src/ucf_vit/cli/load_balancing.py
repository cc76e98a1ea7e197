"""`utils/load_balance.py` and its other names: which data rank reads what, as keys to paste."""

from __future__ import annotations

from typing import Annotated

import typer

from ucf_vit.cli.config import Config, Overrides, Task
from ucf_vit.config import load


def load_balancing(
    config: Config,
    num_gpus: Annotated[int, typer.Argument(min=1)],
    overrides: Overrides = None,
    task: Task = None,
) -> None:
    """Print `batches_per_rank_epoch` and `dataset_group_list`; the plan is written as by `ucf-vit plan`."""
    run = load(config, [*(overrides or []), "load_balancing.auto_load_balancing=true"], task=task)
    from ucf_vit.train.plan import plan_directory, plan_run
    from ucf_vit.train.plan_table import keys

    typer.echo(keys(plan_run(run, num_gpus, plan_directory(run)).plan))
