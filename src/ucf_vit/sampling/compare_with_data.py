"""Samples beside the data that their model was trained on."""

from __future__ import annotations

from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.core.log import say
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.sampling.fidelity.compare import Fidelity, Tiles, compare, in_words
from ucf_vit.sampling.tiles import Wanted, tiles
from ucf_vit.tasks.denoising import Denoising
from ucf_vit.train.data_record import Record
from ucf_vit.train.inputs.datasets import build_datasets


def check_comparable(run: Run, number: int) -> None:
    """UserError where there is nothing to compare, told before anything is generated."""
    if number < 2:
        raise UserError(f"--compare needs two samples at least, better hundreds; got --number {number}")
    if not any(len(found) for found in build_datasets(run, Scratch(), "validation", statistics=False)):
        raise UserError("--compare: no held-out data; set data.validation or data.dict_end_idx")


def compare_with_data(
    samples: Tensor,
    run: Run,
    record: Record,
    task: Denoising,
    like: Wanted,
    seed: int,
    device: torch.device,
) -> Fidelity:
    """How near `samples` `[N, C, *S]` are to the held-out and training tiles that are `like` them."""
    held_out, training = (
        _seen(task, tiles(run, like, held_out=held, record=record, patcher=task.patcher))
        for held in (True, False)
    )
    return compare(samples, training, held_out, seed, device)


def _seen(task: Denoising, found: Tiles) -> Tiles:
    """The tiles as the model sees them: with adaptive patching, what tokens hold of them."""
    model, patcher = task.model, task.patcher
    for batch, rows in found:
        if patcher is None or batch.leaves is None:
            yield batch, rows
        else:
            patches = patcher.cut(batch.image, batch.leaves)
            yield replace(batch, image=model.image(patches.values.flatten(2), patches)), rows


def print_fidelity(found: Fidelity) -> None:
    """The figures as tables on the terminal."""
    table = Table(title=f"Fréchet distance on random features, {found.number:,} tiles each")
    for column in ("of", "to", "distance"):
        table.add_column(column, justify="right" if column == "distance" else "left")
    table.add_row("held-out tiles (floor)", "training tiles", f"{found.floor:.4g}")
    table.add_row("generated", "held-out tiles", f"{found.generated:.4g}", style="bold")
    table.add_row("noise", "held-out tiles", f"{found.noise:.4g}")
    near = Table(title="Root mean square difference to the nearest training tile")
    near.add_column("of")
    near.add_column("median", justify="right")
    near.add_row("generated", f"{float(found.nearest.median()):.4g}", style="bold")
    near.add_row("held-out tiles", f"{float(found.nearest_held_out.median()):.4g}")
    console = Console()
    console.print(table)
    console.print(near)
    say(in_words(found))
