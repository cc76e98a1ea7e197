"""Facts about the training data that the weights depend on; saved in each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.data.class_names import class_order
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.tasks.task import Task

KEY = "record"
"""Key of the record in the `meta.json` of a checkpoint."""


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


@dataclass(frozen=True)
class Record:
    """Class names in the order of their numbers, normalization by data set, and the task's own values."""

    class_names: tuple[str, ...] = ()
    normalized: Mapping[str, Normalized] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, datasets: Sequence[Dataset], first_classes: Sequence[str] = ()) -> Record:
        """Returns the record of a training on `datasets`; `first_classes` get the first class numbers."""
        return cls(
            class_order(datasets, first_classes),
            {one.name: Normalized(one.normalization, tuple(one.source.variables)) for one in datasets},
        )

    def normalization(self, dataset: Dataset) -> Normalization | None:
        """Returns the normalization for `dataset`, None if it is unknown.

        It is that of the training data set of the same name. For another data set it is the one that all
        training data sets have in common.
        """
        known = list(self.normalized.values())
        if dataset.name in self.normalized:
            return self.normalized[dataset.name].of(dataset)
        return known[0].of(dataset) if known and all(one == known[0] for one in known) else None

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
            task.settle({name: one.how for name, one in self.normalized.items()})

    def dump(self) -> dict[str, Any]:
        """Returns the record as JSON values."""
        return asdict(self)

    @classmethod
    def load(cls, meta: Mapping[str, Any], directory: Path) -> Record:
        """Returns the record in the `meta` of checkpoint `directory`; empty if an earlier version wrote it.

        Raises CheckpointError if it is damaged.
        """
        try:
            return _SCHEMA.validate_python(meta.get(KEY, {}))
        except (ValidationError, DataError) as cause:
            text = " ".join(str(cause).split())
            raise CheckpointError(f"{directory}: its record of the data is damaged ({text})") from None


_SCHEMA = TypeAdapter(Record)
