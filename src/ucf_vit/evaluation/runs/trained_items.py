"""Items of an evaluation that the checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ucf_vit.core.errors import UserError
from ucf_vit.core.lists import few
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import NAME, among, fingerprints
from ucf_vit.data.leaks.compare import NEAR, VALUES, Rows, copies, exact_copies, without_values
from ucf_vit.training.inputs.item_search import Use

BY_FILES = "by path and by contents (the size of a file and blocks from all parts of it)"
BY_VALUES = "by path, by contents of the file, and by their values, also altered ones"


@dataclass(frozen=True)
class Overlap:
    """Names of evaluated items by their use in training, each with how it was recognised.

    `known` are the uses that the checkpoint records. `near` are items that look like others of a use,
    flipped, re-windowed, resampled or cropped. `namesakes` are others with the name of an item that was
    trained on. `by_values` says whether items were read to be compared.
    """

    total: int
    known: frozenset[Use]
    used: Mapping[Use, Sequence[str]]
    near: Mapping[Use, Sequence[str]] = field(default_factory=dict)
    namesakes: Sequence[str] = ()
    by_values: bool = False

    @classmethod
    def of(cls, datasets: Sequence[Dataset], used: Mapping[Use, Rows], contents: bool = False) -> Overlap:
        """Compares the items of `datasets` with those that were `used`; with `contents` by values, too."""
        contents = contents and any((rows[:, VALUES] != 0).any() for rows in used.values())
        same: dict[Use, list[str]] = {use: [] for use in used}
        near: dict[Use, list[str]] = {use: [] for use in used}
        namesakes: list[str] = []
        for one in datasets:
            rows = without_values(fingerprints(one))
            if contents:
                copies_by_use = copies(one, rows, used)
            else:
                copies_by_use = {use: exact_copies(rows, others) for use, others in used.items()}
            names = [item.key for item in one.items]
            for use, some in copies_by_use.items():
                same[use] += [f"{names[c.item]} ({c.how})" for c in some if c.how != NEAR]
                near[use] += [names[c.item] for c in some if c.how == NEAR]
            if "trained" in used:
                met = {copy.item for some in copies_by_use.values() for copy in some}
                numbers = np.flatnonzero(among(rows, used["trained"], NAME)).tolist()
                namesakes += [names[number] for number in numbers if number not in met]
        total = sum(len(one.items) for one in datasets)
        return cls(total, frozenset(used), same, near, namesakes, contents)

    @property
    def compared(self) -> str:
        """Returns how items were compared, as a sentence."""
        how = BY_VALUES if self.by_values else BY_FILES
        return f"Items are compared with those recorded in the checkpoint, {how}."

    def check(self, allowed: bool) -> None:
        """Raises UserError naming items that were trained on, unless they are `allowed`."""
        trained = self.used.get("trained", ())
        if trained and not allowed:
            raise UserError(
                f"{len(trained)} of {self.total} items were trained on: {few(trained)}. Remove them, or "
                f"include them with --allow-trained. {self.compared}"
            )

    def notes(self) -> list[str]:
        """Returns notes on the items, to be shown with the results."""
        if "trained" not in self.known:
            return ["The checkpoint is of an earlier version and does not record its training items."]
        texts: dict[Use, str] = {
            "trained": "were trained on",
            "pretrained": "were used in the pre-training of the initial weights",
        }
        notes = [
            f"{len(self.used[use])} of {self.total} items {text}: {few(self.used[use])}."
            for use, text in texts.items()
            if self.used.get(use)
        ]
        notes += [
            f"{len(some)} of {self.total} items look like items that {text}, flipped, re-windowed, resampled "
            f"or cropped: {few(some)}."
            for use, text in texts.items()
            if (some := self.near.get(use))
        ]
        if not self.used["trained"]:
            notes.append(
                f"None of the {self.total} items has the path or contents of one that was trained on."
            )
        if self.namesakes:
            notes.append(
                f"{len(self.namesakes)} of {self.total} items have the name of one that was trained on: "
                f"{few(self.namesakes)}. They count as others, since path and contents differ; so would the "
                "same item in another format."
            )
        return [*notes, self.compared]
