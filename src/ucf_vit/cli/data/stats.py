"""`ucf-vit stats`: measures the statistics of variables over the training items of a run."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from ucf_vit.cli.config import Config, Overrides, Task
from ucf_vit.config import load


def stats(
    config: Config,
    overrides: Overrides = None,
    task: Task = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing statistics.")] = False,
) -> None:
    """Measure mean and deviation of every variable over the training items, for normalization stats.

    A killed command continues where it was when started again.
    """
    run = load(config, overrides or [], task=task)
    from ucf_vit.data.storage.scratch import Scratch
    from ucf_vit.training.inputs.datasets import build_datasets
    from ucf_vit.training.inputs.statistics_files import find_statistics

    datasets = build_datasets(run, Scratch(), statistics=False)
    used = [dataset for dataset in datasets if dataset.normalization.kind == "stats"]
    if not used:
        typer.echo(f"{config}: nothing to do; no data set has data.dict_normalization of kind stats")
    for dataset in used:
        typer.echo(f"{dataset.name}: {dataset.listed}")
        with Progress() as progress:
            bar = progress.add_task(dataset.name)
            statistics = find_statistics(
                dataset,
                run,
                overwrite=overwrite,
                on_item=lambda done, total, to=progress, of=bar: to.update(of, completed=done, total=total),  # type: ignore[misc]
            )
        typer.echo(f"{run.stats_file(dataset.name)}: {statistics.done} items")
        for name in dataset.variables:
            one = statistics.variables[name]
            typer.echo(f"  {name:12} mean {one.mean:12.6g}  std {one.std:12.6g}  {one.number:,} values")
