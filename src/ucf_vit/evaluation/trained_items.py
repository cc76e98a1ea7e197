"""Items of an evaluation that the checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ucf_vit.core.errors import UserError
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import CONTENTS, NAME, PLACE, among, fingerprints
from ucf_vit.train.inputs.used_items import Rows, Use

COMPARED = (
    "Items are compared with those recorded in the checkpoint, by path and by contents (the size of a file "
    "and blocks from all parts of it)."
)
SHOWN = 10


@dataclass(frozen=True)
class Overlap:
    """Names of evaluated items by their use in training, each with how it was recognised.

    `known` are the uses that the checkpoint records. `namesakes` are others with the name of an item that
    was trained on.
    """

    total: int
    known: frozenset[Use]
    used: Mapping[Use, Sequence[str]]
    namesakes: Sequence[str] = ()

    @classmethod
    def of(cls, datasets: Sequence[Dataset], used: Mapping[Use, Rows]) -> Overlap:
        """Compares the items of `datasets` with those that were `used`."""
        names = [item.key for one in datasets for item in one.items]
        rows = np.concatenate([fingerprints(one) for one in datasets])
        by_use: dict[Use, list[str]] = {}
        recognised = np.zeros(len(names), bool)
        for use, others in used.items():
            same_file, same_contents = among(rows, others, PLACE), among(rows, others, CONTENTS)
            recognised |= same_file | same_contents
            by_use[use] = [
                f"{names[n]} ({'same file' if same_file[n] else 'same contents'})"
                for n in np.flatnonzero(same_file | same_contents)
            ]
        namesakes = np.zeros_like(recognised)
        if "trained" in used:
            namesakes = among(rows, used["trained"], NAME) & ~recognised
        return cls(
            len(names), frozenset(used), by_use, [names[number] for number in np.flatnonzero(namesakes)]
        )

    def check(self, allowed: bool) -> None:
        """Raises UserError naming items that were trained on, unless they are `allowed`."""
        trained = self.used.get("trained", ())
        if trained and not allowed:
            raise UserError(
                f"{len(trained)} of {self.total} items were trained on: {few(trained)}. Remove them, or "
                f"include them with --allow-trained. {COMPARED}"
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
        return [*notes, COMPARED]


def few(names: Sequence[str]) -> str:
    """Returns the first names, and the number of all if there are more."""
    return ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > SHOWN else "")
