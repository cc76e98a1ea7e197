"""Opens several trained runs as one ensemble, such as the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.tasks.ensemble import ensemble_of
from ucf_vit.tasks.task import Task
from ucf_vit.training.inputs.datasets import resolved
from ucf_vit.training.inputs.grids import grid_options
from ucf_vit.training.saved_runs.open_trained import Trained, open_trained


def open_ensemble(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    *,
    mirror: bool = False,
    device: str | None = None,
) -> tuple[Trained[Task], list[Trained[Task]]]:
    """Returns the first run or checkpoint with the mean prediction of all in its task, and all members.

    `mirror` also averages over flipped tiles, see `ensemble_of`. The networks may differ. Raises UserError
    where classes, channels, grid, tile or values of the images differ.
    """
    members = [open_trained(path, overrides, device=device) for path in paths]
    check_members(members)
    first = members[0]
    return replace(first, task=ensemble_of([one.task for one in members], mirror)), members


def check_members(members: Sequence[Trained[Any]]) -> None:
    """Raises UserError for a checkpoint that is named twice, and where the classes, channels, grid, tile or
    values of the images of runs differ.
    """
    first, facts = members[0], _facts(members[0])
    places = [one.directory.resolve() for one in members]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UserError(
            f"{twice[0]}: is named twice in an ensemble, where it would count twice; leave one out"
        )
    for other in members[1:]:
        for name, value in _facts(other).items():
            if value != facts[name]:
                raise UserError(
                    f"{other.directory} and {first.directory} have different {name}: {value} and "
                    f"{facts[name]}; the members of an ensemble predict the same classes from the same input"
                )


def _facts(trained: Trained[Any]) -> dict[str, Any]:
    """Returns what the members of an ensemble have in common, by its name in messages."""
    run, record = trained.run, trained.record
    run_on_grid = resolved(run, Scratch(), record)
    names = record.class_names or [f"{number} {name}" for number, name in record.label_names.items()]
    data = run.data
    given = {name: one for name, one in data.dict_normalization.items() if one.kind != "stats"}
    values = {name: str(one.how) for name, one in record.normalized.items()} | {
        name: str(one) for name, one in given.items()
    }
    return {
        "tasks": run.task,
        "numbers of classes": run.model.num_classes,
        "classes": ", ".join(names) or "without names",
        "channels": {name: list(data.dict_in_variables[name]) for name in run.datasets},
        "numbers of channels": run.in_channels,
        "grids": str(grid_options(run_on_grid)) or "as stored",
        "tiles": list(run.spatial_tile),
        "normalization": dict(sorted(values.items())),
        "data sources": data.dataset,
        "options of the data": (data.dict_options, data.dict_nan, data.small_images),
    }
