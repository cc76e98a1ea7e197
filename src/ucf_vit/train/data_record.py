"""Record of facts found in the data that weights depend on, kept with them."""

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
"""Where it is in the `meta.json` of a checkpoint."""


@dataclass(frozen=True)
class Normalized:
    """How the values of a data set were normalised: `how`, whose numbers are of `variables` in this order."""

    how: Normalization
    variables: tuple[str, ...]

    def of(self, dataset: Dataset) -> Normalization:
        """The same for `dataset`, by the names of its variables. DataError where one has no numbers."""
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
    """Names of classes in the order of their numbers, normalisation by data set, and what the task keeps."""

    class_names: tuple[str, ...] = ()
    normalized: Mapping[str, Normalized] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, datasets: Sequence[Dataset], first_classes: Sequence[str] = ()) -> Record:
        """That of training on `datasets`, with classes that are numbered from `first_classes` on."""
        return cls(
            class_order(datasets, first_classes),
            {one.name: Normalized(one.normalization, tuple(one.source.variables)) for one in datasets},
        )

    def normalization(self, dataset: Dataset) -> Normalization | None:
        """That of the data set of this name when it was trained on; of another one, if all were the same.

        None where that is not known.
        """
        known = list(self.normalized.values())
        if dataset.name in self.normalized:
            return self.normalized[dataset.name].of(dataset)
        return known[0].of(dataset) if known and all(one == known[0] for one in known) else None

    def restore(self, task: Task) -> None:
        """Tell `task` the names of the classes, what it kept, and how data sets are normalised.

        Raises CheckpointError where `task` cannot have kept that, UserError where data sets do not fit.
        """
        if self.class_names:
            task.name_classes(self.class_names)
        try:
            task.restore(self.task)
        except (AttributeError, LookupError, TypeError, ValueError) as cause:
            name = type(task).__name__
            raise CheckpointError(f"the checkpoint does not keep what a {name} does ({cause})") from None
        if self.normalized:
            task.settle({name: one.how for name, one in self.normalized.items()})

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def load(cls, meta: Mapping[str, Any], directory: Path) -> Record:
        """From the description `meta` of the checkpoint `directory`; empty for one of an earlier version.

        Raises CheckpointError where it is damaged.
        """
        try:
            return _SCHEMA.validate_python(meta.get(KEY, {}))
        except (ValidationError, DataError) as cause:
            text = " ".join(str(cause).split())
            raise CheckpointError(f"{directory}: what it keeps of its data is damaged ({text})") from None


_SCHEMA = TypeAdapter(Record)
