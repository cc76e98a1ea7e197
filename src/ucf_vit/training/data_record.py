"""Facts about the training data that the weights depend on; saved in each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.data.class_names import class_order, label_names
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.splits.assignment import Assignment
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.tasks.task import Task

KEY = "record"
"""Key of the record in the `meta.json` of a checkpoint."""
SPLITS = "splits"
"""Key of the splits in the state of a checkpoint."""


@dataclass(frozen=True)
class Normalized:
    """Normalization of a data set: mean and deviation in `how` are those of `variables`, in this order."""

    how: Normalization
    variables: tuple[str, ...]

    def of(self, dataset: Dataset) -> Normalization:
        """Returns the normalization for the variables of `dataset`, matched by name.

        Raises DataError for a variable without mean and deviation.
        """
        how, wanted = self.how, dataset.source.variables
        if len(how.mean) > 1 and tuple(wanted) != self.variables:
            places = {name: number for number, name in enumerate(self.variables)}
            missing = [name for name in dataset.variables if name not in places]
            if missing:
                raise DataError(
                    f"{dataset.name}: the checkpoint has no mean and deviation of variable {missing[0]!r}, "
                    f"only of {', '.join(self.variables)}"
                )
            order = [places.get(name, 0) for name in wanted]
            how = replace(how, mean=tuple(how.mean[n] for n in order), std=tuple(how.std[n] for n in order))
        return replace(how, missing=dataset.source.missing)

    def change_to(self, other: Normalized) -> dict[str, tuple[float, float]] | None:
        """Returns factor and offset, by variable, that bring normalized values to those of `other`.

        They are empty where both are the same, None where no factor and offset do it.
        """
        if self == other:
            return {}
        ours, theirs = self._moments, other._moments
        if ours is None or theirs is None or ours.keys() != theirs.keys() or self.how.nan != other.how.nan:
            return None
        return {
            name: (std / theirs[name][1], (mean - theirs[name][0]) / theirs[name][1])
            for name, (mean, std) in ours.items()
        }

    @property
    def _moments(self) -> dict[str, tuple[float, float]] | None:
        """Mean and deviation by variable, None where they are those of each item."""
        how, number = self.how, len(self.variables)
        if how.kind != "mean_std":
            return None
        mean, std = (one if len(one) > 1 else one * number for one in (how.mean, how.std))
        return dict(zip(self.variables, zip(mean, std, strict=True), strict=True))


@dataclass(frozen=True)
class Record:
    """Class names in the order of their numbers, normalization by data set, and the task's own values.

    `splits` are the splits of items by `data.split`, None without it. A checkpoint keeps them in its state,
    since there may be many items; everything else is in its `meta.json`. `grid` is the grid on which items
    were used, None if that is not known. `label_names` are the names of the classes of pixels or voxels, by
    number, where the data sets have them.
    """

    class_names: tuple[str, ...] = ()
    normalized: Mapping[str, Normalized] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    splits: Assignment | None = None
    grid: GridOptions | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, datasets: Sequence[Dataset], first_classes: Sequence[str] = ()) -> Record:
        """Returns the record of a training on `datasets`; `first_classes` get the first class numbers."""
        return cls(
            class_order(datasets, first_classes),
            {one.name: Normalized(one.normalization, tuple(one.source.variables)) for one in datasets},
            grid=next((one.grid for one in datasets), None),
            label_names=label_names(datasets),
        )

    def normalization(self, dataset: Dataset) -> Normalization | None:
        """Returns the normalization for the variables of `dataset`, None if it is unknown."""
        known = self.normalized_as(dataset.name)
        return None if known is None else known.of(dataset)

    def normalized_as(self, name: str) -> Normalized | None:
        """Returns the normalization of a data set, None if it is unknown.

        It is that of the training data set `name`. For another data set it is the one that all training data
        sets have in common.
        """
        known = list(self.normalized.values())
        common = known[0] if known and all(one == known[0] for one in known) else None
        return self.normalized.get(name, common)

    def restore(self, task: Task) -> None:
        """Sets the class names, the task's own values and the normalization of the data in `task`.

        Raises CheckpointError if the values are not those of such a task, UserError if the data sets do not
        fit it.
        """
        if self.class_names:
            task.name_classes(self.class_names)
        try:
            task.restore(self.task)
        except (AttributeError, LookupError, TypeError, ValueError) as cause:
            name = type(task).__name__
            raise CheckpointError(f"the checkpoint lacks the values that a {name} saves ({cause})") from None
        if self.normalized:
            task.set_normalization({name: one.how for name, one in self.normalized.items()})

    def dump(self) -> dict[str, Any]:
        """Returns the record as JSON values, without the splits."""
        normalized = {name: asdict(one) for name, one in self.normalized.items()}
        kept: dict[str, Any] = {
            "class_names": self.class_names,
            "normalized": normalized,
            "task": dict(self.task),
        }
        if self.label_names:
            kept["label_names"] = {str(number): name for number, name in self.label_names.items()}
        return kept if self.grid is None or self.grid.as_stored else {**kept, "grid": self.grid.values}

    @classmethod
    def load(cls, meta: Mapping[str, Any], directory: Path, state: Mapping[str, Any] | None = None) -> Record:
        """Returns the record in the `meta` of checkpoint `directory`; empty if an earlier version wrote it.

        Splits are read from the `state` of the checkpoint. Raises CheckpointError if it is damaged.
        """
        try:
            kept = _SCHEMA.validate_python(meta.get(KEY, {}))
            splits = _splits((state or {}).get(SPLITS))
            grid = None if kept.grid is None else GridOptions.of(kept.grid)
        except (ValidationError, DataError, AttributeError, LookupError, TypeError, ValueError) as cause:
            text = " ".join(str(cause).split())
            raise CheckpointError(f"{directory}: its record of the data is damaged ({text})") from None
        return cls(kept.class_names, kept.normalized, kept.task, splits, grid, kept.label_names)


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    class_names: tuple[str, ...] = ()
    normalized: Mapping[str, Normalized] = {}
    task: Mapping[str, Any] = {}
    grid: Mapping[str, Any] | None = None
    label_names: Mapping[int, str] = {}


_SCHEMA = TypeAdapter(_Kept)


def splits_state(splits: Assignment | None) -> dict[str, Any]:
    """Returns splits as tensors, for the state of a checkpoint; empty without `data.split`."""
    if splits is None:
        return {}
    arrays = {name: torch.from_numpy(rows) for name, rows in splits.rows.items()}
    return {"about": splits.about, "datasets": arrays}


def _splits(kept: Mapping[str, Any] | None) -> Assignment | None:
    if not kept:
        return None
    arrays = {name: rows.numpy() for name, rows in kept["datasets"].items()}
    if any(rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != 2 for rows in arrays.values()):
        raise ValueError("the splits are no pairs of numbers")
    return Assignment(arrays, str(kept["about"]))
