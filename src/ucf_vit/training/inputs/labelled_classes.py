"""Classes of voxels that occur in labels, collected while items are read, and those that no label trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ucf_vit.core.lists import first_few
from ucf_vit.data.batch import Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.values.labels import label_values


class LabelledClasses:
    """First item of each class that occurs in the labels of some data sets, by class."""

    def __init__(self) -> None:
        self.items: dict[int, str] = {}
        self.num_classes = 0
        self._missing = 0

    @property
    def complete(self) -> bool:
        """Whether every item was read."""
        return self._missing == 0

    def of(self, dataset: Dataset) -> Callable[[int, Sample], None]:
        """Returns a function that notes the classes of item number `n`, read as `sample`."""
        self._missing += len(dataset.items)
        self.num_classes = max(self.num_classes, dataset.num_classes or 0)

        def see(number: int, sample: Sample) -> None:
            self._missing -= 1
            if sample.label is None or dataset.num_classes is None:
                return
            for value in dataset.label_map.numbers(label_values(sample.label).values).tolist():
                if 0 <= value < dataset.num_classes:
                    self.items.setdefault(value, dataset.items[number].key)

        return see


def untrained_classes(
    trained: LabelledClasses, held_out: LabelledClasses, names: Mapping[int, str]
) -> list[str]:
    """Returns a text on classes in held-out labels that are in no training label.

    There is none where not all training items were read.
    """
    lost = sorted(held_out.items.keys() - trained.items.keys()) if trained.complete else []
    if not lost:
        return []
    shown = first_few([f"{_titled(n, names)} (item {held_out.items[n]})" for n in lost])
    return [
        f"{len(lost)} class(es) are in the label of no training item, only of held-out ones: {shown}. Add "
        "items, change the split, or map the class to another with data.dict_label_mapping"
    ]


def absent_classes(
    trained: LabelledClasses, held_out: LabelledClasses, names: Mapping[int, str]
) -> list[str]:
    """Returns a text on classes that are in no label; there is none where not all items were read."""
    if not (trained.items and trained.complete and held_out.complete):
        return []
    absent = [n for n in range(trained.num_classes) if n not in trained.items and n not in held_out.items]
    shown = first_few([_titled(n, names) for n in absent])
    return [f"{len(absent)} of {trained.num_classes} classes are in no label: {shown}"] if absent else []


def _titled(number: int, names: Mapping[int, str]) -> str:
    return f"{number} ({names[number]})" if number in names else str(number)
