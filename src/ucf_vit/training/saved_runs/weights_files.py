"""Weights of other programs: as the start of a run, and as a file for a network that a config describes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch

from ucf_vit.checkpoint.inspect import facts_of
from ucf_vit.checkpoint.weights_file import check_weights_file, write_weights
from ucf_vit.config import Run, patch_of, pretrained_options
from ucf_vit.core.per_axis import product_of
from ucf_vit.core.text import printable
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.models.transfer_report import Transfer
from ucf_vit.parallel.distribute import is_on_meta
from ucf_vit.parallel.initial_weights import materialise
from ucf_vit.tasks.task import Task
from ucf_vit.training.build import build_task
from ucf_vit.training.inputs.source_options import remote_files
from ucf_vit.training.saved_runs.open_run import find_run, read_checkpoint
from ucf_vit.training.saved_runs.pretrained import PREFIX
from ucf_vit.weights.export import named_as
from ucf_vit.weights.pretrained import hint_of, load_pretrained

log = logging.getLogger(__name__)


def start_from_file(task: Task, run: Run) -> Transfer:
    """Copies what fits of the weights in `model.pretrained` into the network, and logs what that was.

    For a network that is not distributed yet. Raises CheckpointError if nothing of the encoder fits.
    """
    if is_on_meta(task.model):
        materialise(task.model, run.trainer.seed, torch.device("cpu"))
    opened, report = load_pretrained(
        task.model,
        run.model.pretrained,
        channels=run.input.default_vars,
        options=pretrained_options(run),
        files=remote_files(run.data, Scratch()),
    )
    log.info("starting from %s (%s)\n%s", opened.place, opened.family.name, report)
    return report


def import_weights(run: Run, file: Path, *, overwrite: bool = False) -> Transfer:
    """Writes the weights that a run with `model.pretrained` would start with to a safetensors file.

    It can be named as `trainer.start_from`. Weights that the pretrained file does not have are drawn from
    `trainer.seed`. Raises CheckpointError, and UserError if the file cannot be written.
    """
    check_weights_file(file, overwrite)
    task = build_task(run)
    report = start_from_file(task, run)
    hint = hint_of(task.model)
    facts = {
        "pretrained": printable(run.model.pretrained),
        "grid": product_of(hint.grid or ()).replace(" ", ""),
        "patch": product_of(run.patch).replace(" ", ""),
        "variables": json.dumps(list(run.input.default_vars)),
    }
    write_weights(file, task.state_dict(), facts)
    return report


def export_weights(path: Path, to: str, file: Path, *, overwrite: bool = False) -> list[str]:
    """Writes the weights of the run or checkpoint at `path` with the names of the program `to`.

    These are averaged ones if it has them. Returns the names of those that were left out, since the other
    program has no place for them. Raises CheckpointError, and UserError for a network that it does not have.
    """
    check_weights_file(file, overwrite)
    found = find_run(path)
    read = read_checkpoint(found.directory, found.name)
    prefix = "" if to == "ucf_vit" else PREFIX
    weights = {
        name.removeprefix(prefix): value
        for name, value in read.for_inference.items()
        if name.startswith(prefix)
    }
    tensors, left = named_as(to, weights, patch_of(read.config))
    write_weights(file, tensors, facts_of(read))
    return left
