"""Which items of an evaluation were trained on, as far as the checkpoint keeps that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ucf_vit.core.errors import UserError
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import CONTENTS, NAME, PLACE, among, fingerprints
from ucf_vit.train.inputs.used_items import Rows, Use

COMPARED = (
    "Items are compared with those that the checkpoint keeps, by path and by contents (the size of a file "
    "and blocks from all over it)."
)
SHOWN = 10


@dataclass(frozen=True)
class Overlap:
    """Names of the items by their use, each with how it is known again; `known` is what the checkpoint keeps.

    `namesakes` are further items whose name is that of an item that was trained on.
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
        found: dict[Use, list[str]] = {}
        met = np.zeros(len(names), bool)
        for use, others in used.items():
            here, same = among(rows, others, PLACE), among(rows, others, CONTENTS)
            met |= here | same
            found[use] = [
                f"{names[n]} ({'same file' if here[n] else 'same contents'})"
                for n in np.flatnonzero(here | same)
            ]
        namesakes = among(rows, used["trained"], NAME) & ~met if "trained" in used else met & False
        return cls(
            len(names), frozenset(used), found, [names[number] for number in np.flatnonzero(namesakes)]
        )

    def check(self, allowed: bool) -> None:
        """UserError, naming them, where items were trained on and may not be."""
        trained = self.used.get("trained", ())
        if trained and not allowed:
            raise UserError(
                f"{len(trained)} of {self.total} items were trained on: {few(trained)}. Take them out, or "
                f"let them count with --allow-trained. {COMPARED}"
            )

    def notes(self) -> list[str]:
        """Returns the notes on the items that are shown beside the results."""
        if "trained" not in self.known:
            return ["The checkpoint, of an earlier version, does not keep which items it was trained on."]
        said: dict[Use, str] = {
            "trained": "were trained on",
            "pretrained": "were in the pre-training that the weights began with",
        }
        notes = [
            f"{len(self.used[use])} of {self.total} items {text}: {few(self.used[use])}."
            for use, text in said.items()
            if self.used.get(use)
        ]
        if not self.used["trained"]:
            notes.append(
                f"None of the {self.total} items has the path or contents of one that was trained on."
            )
        if self.namesakes:
            notes.append(
                f"{len(self.namesakes)} of {self.total} items have the name of one that was trained on: "
                f"{few(self.namesakes)}. They are taken for others, since path and contents are; the same "
                "item in another format would be, too."
            )
        return [*notes, COMPARED]


def few(names: Sequence[str]) -> str:
    """The first names, and that there are more."""
    return ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" if len(names) > SHOWN else "")
