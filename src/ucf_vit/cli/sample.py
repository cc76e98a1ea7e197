"""`ucf-vit sample`: new images from a trained diffusion run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ucf_vit.cli.arguments import to_path
from ucf_vit.cli.config import Overrides, Overwrite
from ucf_vit.core.errors import UserError


def sample(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT|RUN",
            help="RUN/best, RUN/last_even, ...; or RUN: best, or newest.",
            parser=to_path,
        ),
    ],
    overrides: Overrides = None,
    number: Annotated[int, typer.Option(help="How many samples.")] = 16,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps from noise to a sample. Default: 50, or as many as training had."),
    ] = None,
    sampler: Annotated[
        Literal["ddim", "ddpm"], typer.Option(help="ddpm adds fresh noise at every step: eta 1.")
    ] = "ddim",
    eta: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How much fresh noise, 0 to 1. Default: by the sampler."),
    ] = None,
    guidance: Annotated[
        float, typer.Option(help="More than 1: more like the condition, less like each other.")
    ] = 1.0,
    condition: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="E.g. class=dog, by name; can be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Sample i depends on the seed and i.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples at a time; changes none of them.")] = 16,
    out: Annotated[
        Path | None, typer.Option(help="Directory to write to. Default: RUN/samples.", parser=to_path)
    ] = None,
    overwrite: Overwrite = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Measure how close samples are to held-out tiles, and if copied."),
    ] = False,
) -> None:
    """Generate images or volumes with a trained diffusion model.

    KEY=VALUE change what RUN/config.yaml says, e.g. trainer.device=cpu, or where the data is.
    """
    if sampler == "ddpm" and eta not in (None, 1.0):
        raise UserError(f"--sampler ddpm has eta 1, not {eta:g}; leave one of the two out")
    conditions = _pairs(condition or [])
    from ucf_vit.sampling.sample import Sampling, sample_run

    wanted = Sampling(
        number=number,
        steps=steps,
        eta=(1.0 if sampler == "ddpm" else 0.0) if eta is None else eta,
        guidance=guidance,
        conditions=conditions,
        seed=seed,
        batch_size=batch_size,
    )
    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
    bar = progress.add_task("")

    def show(done: int, total: int) -> None:
        if done == 0:
            progress.start()
        progress.update(bar, completed=done, total=total, refresh=True)
        if done == total:
            progress.stop()

    try:
        sample_run(
            checkpoint,
            wanted,
            out=out,
            overwrite=overwrite,
            with_comparison=compare,
            overrides=overrides or [],
            on_batch=show,
        )
    finally:
        progress.stop()


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals and value):
            raise UserError(f"--condition {one}: expected NAME=VALUE, such as class=dog")
        if name in pairs:
            raise UserError(f"--condition {one}: {name} is given twice")
        pairs[name] = value
    return pairs
