"""`utils/load_balance.py` and its other names: prints a plan as keys of a config."""

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
    """Print `batches_per_rank_epoch` and `dataset_group_list`; `ucf-vit plan` writes the plan as well."""
    run = load(config, [*(overrides or []), "load_balancing.auto_load_balancing=true"], task=task)
    from ucf_vit.training.inputs.plan_files import draft
    from ucf_vit.training.inputs.plan_table import keys

    drafted = draft(run, num_gpus)
    for name, listed in drafted.listed.items():
        typer.echo(f"{name}: {listed}", err=True)
    typer.echo(keys(drafted.plan))
