"""Search for the items of a run, for copies among them, and for classes that no item trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ucf_vit.core.lists import first_few
from ucf_vit.data.class_names import label_names
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import fingerprints, joined
from ucf_vit.data.leaks.compare import (
    COLUMNS,
    NEAR,
    Copy,
    Rows,
    copies,
    exact_copies,
    sign,
    without_values,
)
from ucf_vit.training.inputs.labelled_classes import LabelledClasses, absent_classes, untrained_classes

Use = Literal["trained", "pretrained", "validated"]
"""Uses of items: in this training, in the training of the initial weights, or to choose a checkpoint."""
SHOWN = 5
EXACT_TEXT = "have the contents of items that train"
EXACT_HOW = "take them out of one of the two, or set data.leak_check: off"
NEAR_TEXT = "look like items that train (flipped, re-windowed, resampled or cropped)"


class Findings(NamedTuple):
    """Fingerprints by use; texts on faults that a run is refused for; and texts that are only told."""

    rows: dict[Use, Rows]
    faults: list[str]
    notes: list[str]


@dataclass(frozen=True)
class ItemSearch:
    """Search for the items of a run, for copies among them, and for classes that do not train.

    See `UsedItems`.
    """

    training: Sequence[Dataset]
    held_out: Sequence[Dataset]
    before: Mapping[Use, Rows]
    contents: bool
    stopped: Callable[[], bool]

    def run(self) -> Findings:
        """Returns all that is found."""
        own, others = (
            [without_values(fingerprints(one, self.stopped)) for one in datasets]
            for datasets in (self.training, self.held_out)
        )
        faults, notes = self._compare(own, others)
        new: dict[Use, list[Rows]] = {"trained": own, "validated": others, "pretrained": []}
        rows = {
            use: joined([*some, self.before[use]] if use in self.before else some)
            for use, some in new.items()
            if some or use in self.before
        }
        return Findings(rows, faults, notes)

    def _compare(self, own: Sequence[Rows], others: Sequence[Rows]) -> tuple[list[str], list[str]]:
        trained = np.concatenate([*own, np.zeros((0, COLUMNS), np.int64)])
        keys = [item.key for one in self.training for item in one.items]
        exact = [
            _named(one, copy, keys)
            for one, rows in zip(self.held_out, others, strict=True)
            for copy in exact_copies(rows, trained)
        ]
        if exact or not self.contents:
            return _told(exact, EXACT_TEXT, EXACT_HOW), []
        in_training, in_held_out = LabelledClasses(), LabelledClasses()
        for one, rows in zip(self.training, own, strict=True):
            sign(one, rows, self._known(one), self.stopped, in_training.of(one))
        known = {"trained": np.concatenate([*own, np.zeros((0, COLUMNS), np.int64)])}
        near: list[str] = []
        for one, rows in zip(self.held_out, others, strict=True):
            for copy in copies(one, rows, known, self.stopped, in_held_out.of(one))["trained"]:
                (near if copy.how == NEAR else exact).append(_named(one, copy, keys))
        names = label_names([*self.training, *self.held_out])
        faults = [*_told(exact, EXACT_TEXT, EXACT_HOW), *untrained_classes(in_training, in_held_out, names)]
        return faults, [*_told(near, NEAR_TEXT), *absent_classes(in_training, in_held_out, names)]

    def _known(self, dataset: Dataset) -> list[Rows]:
        """Returns the rows whose files are not read again: labels of a pre-training were not used there."""
        labelled = dataset.num_classes is not None
        return [rows for use, rows in self.before.items() if use == "trained" or not labelled]


def _named(dataset: Dataset, copy: Copy, keys: Sequence[str]) -> str:
    """Returns an item and its copy among the training items, whose names are `keys`."""
    return f"{dataset.items[copy.item].key} = {keys[copy.other]}"


def _told(pairs: Sequence[str], found: str, how: str = "") -> list[str]:
    """Returns a text on pairs of items, with what to do; none without pairs."""
    if not pairs:
        return []
    text = f"{len(pairs)} validation item(s) {found}: {first_few(pairs, SHOWN)}"
    return [f"{text}; {how}" if how else text]
