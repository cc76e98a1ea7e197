"""Comparison of samples with the data that their model was trained on."""

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
from ucf_vit.sampling.tiles import TileFilter, tiles
from ucf_vit.tasks.denoising import Denoising
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import build_datasets


def check_comparable(run: Run, number: int) -> None:
    """Raises UserError if there is nothing to compare; call it before samples are generated."""
    if number < 2:
        raise UserError(f"--compare needs at least two samples, better hundreds; got --number {number}")
    if not any(len(dataset) for dataset in build_datasets(run, Scratch(), "validation", statistics=False)):
        raise UserError("--compare: no held-out data; set data.validation or data.dict_end_idx")


def compare_with_data(
    samples: Tensor,
    run: Run,
    record: Record,
    task: Denoising,
    like: TileFilter,
    seed: int,
    device: torch.device,
) -> Fidelity:
    """Compares `samples` `[N, C, *S]` with the held-out and training tiles that `like` selects."""
    held_out, training = (
        _model_view(task, tiles(run, like, held_out=held, record=record, patcher=task.patcher))
        for held in (True, False)
    )
    return compare(samples, training, held_out, seed, device)


def _model_view(task: Denoising, selected: Tiles) -> Tiles:
    """Yields the tiles as the model sees them: with adaptive patching, the image that tokens represent."""
    model, patcher = task.model, task.patcher
    for batch, rows in selected:
        if patcher is None or batch.leaves is None:
            yield batch, rows
        else:
            patches = patcher.cut(batch.image, batch.leaves)
            yield replace(batch, image=model.image(patches.values.flatten(2), patches)), rows


def print_fidelity(fidelity: Fidelity) -> None:
    """Prints the results as tables."""
    table = Table(title=f"Fréchet distance on random features, {fidelity.number:,} tiles each")
    for column in ("of", "to", "distance"):
        table.add_column(column, justify="right" if column == "distance" else "left")
    table.add_row("held-out tiles (floor)", "training tiles", f"{fidelity.floor:.4g}")
    table.add_row("generated", "held-out tiles", f"{fidelity.generated:.4g}", style="bold")
    table.add_row("noise", "held-out tiles", f"{fidelity.noise:.4g}")
    nearest = Table(title="Root mean square difference to the nearest training tile")
    nearest.add_column("of")
    nearest.add_column("median", justify="right")
    nearest.add_row("generated", f"{float(fidelity.nearest.median()):.4g}", style="bold")
    nearest.add_row("held-out tiles", f"{float(fidelity.nearest_held_out.median()):.4g}")
    console = Console()
    console.print(table)
    console.print(nearest)
    say(in_words(fidelity))
