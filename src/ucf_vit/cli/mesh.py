"""`ucf-vit mesh`: groups of ranks and their traffic."""

from __future__ import annotations

from typing import Annotated

import typer

from ucf_vit.cli.config import Config, Overrides, Task
from ucf_vit.config import load


def mesh(
    config: Config,
    overrides: Overrides = None,
    task: Task = None,
    gpus: Annotated[int, typer.Option(min=1, help="Ranks, one per GPU (or die).")] = 1,
    gpus_per_node: Annotated[int, typer.Option(min=1, help="Ranks on each node.")] = 8,
) -> None:
    """Print the groups of ranks of a run, which of them cross a node, and the bytes per step in each."""
    run = load(config, overrides or [], task=task)
    from ucf_vit.training.describe_mesh import describe_mesh

    typer.echo(describe_mesh(run, gpus, gpus_per_node))
