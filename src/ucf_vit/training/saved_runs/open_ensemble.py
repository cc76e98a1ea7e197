"""Opens several trained runs as one ensemble, such as the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.tasks.ensemble import Change, ensemble_of
from ucf_vit.tasks.task import Task
from ucf_vit.training.data_record import Normalized
from ucf_vit.training.inputs.datasets import resolved
from ucf_vit.training.inputs.grids import grid_options
from ucf_vit.training.saved_runs.open_run import FoundRun
from ucf_vit.training.saved_runs.open_trained import Trained, open_found


def open_ensemble(
    found: Sequence[FoundRun], *, mirror: bool = False, device: str | None = None
) -> tuple[Trained[Task], list[Trained[Task]]]:
    """Returns the first run with the mean prediction of all in its task, and all members; see `ensemble`."""
    members = [open_found(one, device=device) for one in found]
    return ensemble(members, mirror), members


def ensemble(members: Sequence[Trained[Task]], mirror: bool = False) -> Trained[Task]:
    """Returns the first run or checkpoint with the mean prediction of all `members` in its task.

    `mirror` also averages over flipped tiles, see `ensemble_of`. The networks may differ, and so may the mean
    and deviation by which each one normalizes its images. Raises UserError for a checkpoint that is named
    twice, and where classes, channels, grid, tile or any other values of the images differ.
    """
    if len(members) > 1:
        _check(members)
    task = ensemble_of([one.task for one in members], mirror, _changes(members))
    return replace(members[0], task=task)


def _check(members: Sequence[Trained[Any]]) -> None:
    first, facts = members[0], _facts(members[0])
    places = [one.directory.resolve() for one in members]
    if twice := [place for place in places if places.count(place) > 1]:
        raise UserError(
            f"{twice[0]}: is named twice in an ensemble, where it would count twice; leave one out"
        )
    for other in members[1:]:
        for name, value in _facts(other).items():
            if value != facts[name]:
                raise _different(name, (other, first), value, facts[name])


def _facts(trained: Trained[Any]) -> dict[str, Any]:
    """Returns what the members of an ensemble have in common, by its name in messages."""
    run, record = trained.run, trained.record
    run_on_grid = resolved(run, Scratch(), record)
    names = record.class_names or [f"{number} {name}" for number, name in record.label_names.items()]
    data = run.data
    return {
        "tasks": run.task,
        "numbers of classes": run.model.num_classes,
        "classes": ", ".join(names) or "without names",
        "channels": {name: list(data.dict_in_variables[name]) for name in run.datasets},
        "numbers of channels": run.in_channels,
        "grids": str(grid_options(run_on_grid)) or "as stored",
        "tiles": list(run.spatial_tile),
        "normalization": {name: str(data.dict_normalization[name]) for name in _given(run)},
        "data sources": data.dataset,
        "options of the data": (data.dict_options, data.dict_nan, data.small_images),
    }


def _given(run: Run) -> list[str]:
    """Returns the data sets whose normalization is in the config, and not in the checkpoint."""
    given = run.data.dict_normalization
    return sorted(name for name in given if given[name].kind != "stats")


def _changes(members: Sequence[Trained[Any]]) -> dict[str, list[Change]]:
    """Returns how each member changes values as the first one gets them, by data set; empty: none does."""
    first = members[0]
    changes: dict[str, list[Change]] = {}
    for name in first.run.datasets:
        if name not in _given(first.run):
            of_all = [_change(first, other, name) for other in members]
            changes |= {name: of_all} if any(of_all) else {}
    return changes


def _change(first: Trained[Any], other: Trained[Any], name: str) -> Change:
    ours, theirs = (one.record.normalized_as(name) for one in (first, other))
    if ours == theirs:
        return {}
    change = None if ours is None or theirs is None else ours.change_to(theirs)
    if change is None:
        raise _different("normalization", (other, first), *map(_in_words, (theirs, ours)))
    return change


def _in_words(normalized: Normalized | None) -> str:
    return "unknown" if normalized is None else f"{normalized.how} of {', '.join(normalized.variables)}"


def _different(name: str, two: tuple[Trained[Any], Trained[Any]], value: object, other: object) -> UserError:
    return UserError(
        f"{two[0].directory} and {two[1].directory} have different {name}: {value} and {other}; the members "
        "of an ensemble predict the same classes from the same input"
    )
