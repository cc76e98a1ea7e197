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
    number: Annotated[int, typer.Option(help="Number of samples.")] = 16,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps from noise to a sample. Default: 50, or fewer if training had fewer."),
    ] = None,
    sampler: Annotated[
        Literal["ddim", "ddpm"], typer.Option(help="ddpm adds fresh noise at every step: eta 1.")
    ] = "ddim",
    eta: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Amount of fresh noise, 0 to 1. Default: by the sampler."),
    ] = None,
    guidance: Annotated[
        float, typer.Option(help="Above 1: samples closer to the condition, and less diverse.")
    ] = 1.0,
    condition: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="E.g. class=dog; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Sample i depends on the seed and i.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per batch; does not change them.")] = 16,
    out: Annotated[
        Path | None, typer.Option(help="Directory to write to. Default: RUN/samples.", parser=to_path)
    ] = None,
    overwrite: Overwrite = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Measure the distance to held-out tiles, and whether samples are copies."
        ),
    ] = False,
) -> None:
    """Generate images or volumes with a trained diffusion model.

    KEY=VALUE override RUN/config.yaml, e.g. trainer.device=cpu, or the place of the data.
    """
    if sampler == "ddpm" and eta not in (None, 1.0):
        raise UserError(f"--sampler ddpm has eta 1, not {eta:g}; leave one of the two out")
    conditions = _pairs(condition or [])
    from ucf_vit.sampling.sample import Sampling, sample_run

    request = Sampling(
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
            request,
            out=out,
            overwrite=overwrite,
            with_comparison=compare,
            overrides=overrides or [],
            on_batch=show,
        )
    finally:
        progress.stop()


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in texts:
        name, equals, value = one.partition("=")
        if not (name and equals and value):
            raise UserError(f"--condition {one}: expected NAME=VALUE, such as class=dog")
        if name in pairs:
            raise UserError(f"--condition {one}: {name} is given twice")
        pairs[name] = value
    return pairs
