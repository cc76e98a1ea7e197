"""The further members of an ensemble that is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.data.dataset import Dataset
from ucf_vit.evaluation.runs.request import EvaluationRequest
from ucf_vit.evaluation.runs.trained_items import Overlap
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tasks.task import Task
from ucf_vit.training.inputs.used_items import used_items
from ucf_vit.training.saved_runs.open_run import FoundRun, find_run, read_checkpoint
from ucf_vit.training.saved_runs.open_trained import Trained, open_found


def further_members(
    request: EvaluationRequest, datasets: Sequence[Dataset], contents: bool, world: World
) -> list[Trained[Task]]:
    """Returns the runs of `request.ensemble`, whole on every process, on the device of `world`.

    Raises UserError naming the run and the items of `datasets` that one of them was trained on, unless they
    are allowed: those of one fold were trained on in another.
    """
    members = []
    for path in request.ensemble:
        found = find_run(path)
        world.on_main(partial(_check, path, found, request, datasets, contents))
        members.append(open_found(found, device=world.device.type))
    return members


def _check(
    path: Path, found: FoundRun, request: EvaluationRequest, datasets: Sequence[Dataset], contents: bool
) -> None:
    state = read_checkpoint(found.directory, found.name).state
    try:
        Overlap.of(datasets, used_items(state), contents).check(request.allow_trained)
    except UserError as error:
        raise UserError(f"--with {path}: {error}") from None
