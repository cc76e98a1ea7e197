"""The split of every item of a run: made, checked, kept as a file, and looked up."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.data.fingerprints import name_hash
from ucf_vit.data.sources import Item
from ucf_vit.data.splits.given import SPLITS

log = logging.getLogger(__name__)
FILE = "splits.json"
ADVICE = (
    "correct the groups (of data.groups, or else of the layout), move the items, or make new splits with "
    "data.split.kind: seeded"
)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Splits of items, `[N, 2]` by data set: hash of the name, sorted, and number of the split, -1 for none.

    `about` says how they were made. Hashes are 8 bytes, as in fingerprints, so that a checkpoint can keep
    them; names and groups are in `splits.json`.
    """

    rows: Mapping[str, NDArray[np.int64]]
    about: str = ""

    @classmethod
    def of(cls, splits: Mapping[str, Mapping[str, str]], about: str = "") -> Assignment:
        """Returns the assignment of items by name: `{data set: {key: split}}`, "" for none."""
        rows = {
            name: sorted(
                (name_hash(key), SPLITS.index(split) if split else -1) for key, split in some.items()
            )
            for name, some in splits.items()
        }
        return cls({name: np.array(some, np.int64).reshape(-1, 2) for name, some in rows.items()}, about)

    def select(self, dataset: str, items: Sequence[Item], split: str) -> list[Item]:
        """Returns the items of a split, in their order; warns of items that came later."""
        known, numbers = self._of(dataset).T
        hashes = np.array([name_hash(item.key) for item in items], np.int64)
        places = np.minimum(np.searchsorted(known, hashes), max(0, len(known) - 1))
        is_known = known[places] == hashes if len(known) else np.zeros(len(hashes), bool)
        if not is_known.all():
            new = [item.key for item, there in zip(items, is_known, strict=True) if not there]
            log.warning(
                "%s: %d item(s) came after the splits were made and are in none of them: %s. A new run "
                "makes new splits",
                *(dataset, len(new), first_few(new)),
            )
        chosen = is_known & (numbers[places] == SPLITS.index(split)) if len(known) else is_known
        return [item for item, is_chosen in zip(items, chosen, strict=True) if is_chosen]

    def has(self, dataset: str, split: str) -> bool:
        """Returns whether any item of a data set is in a split."""
        return bool((self._of(dataset)[:, 1] == SPLITS.index(split)).any())

    def _of(self, dataset: str) -> NDArray[np.int64]:
        if dataset not in self.rows:
            raise DataError(f"the splits have no data set {dataset!r}, only {', '.join(self.rows)}")
        return self.rows[dataset]


@dataclass(frozen=True)
class Listed:
    """Splits with the names of items, as `splits.json` holds them: `{data set: {key: split}}`, and groups."""

    splits: Mapping[str, Mapping[str, str]]
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """Returns JSON that `ucf_vit.data.splits.given.read_splits` reads."""
        datasets = {}
        for name, split_of_item in self.splits.items():
            keys = {split: sorted(key for key, s in split_of_item.items() if s == split) for split in SPLITS}
            groups = {key: group for key, group in sorted(self.groups.get(name, {}).items()) if group}
            datasets[name] = {**keys, "groups": groups}
        return json.dumps({"about": dict(self.about), "datasets": datasets}, indent=1) + "\n"

    def check_groups(self) -> None:
        """Raises DataError where the items of a group are in several splits."""
        if cut := list(cut_groups(self.splits, self.groups)):
            raise DataError(f"data.split: {len(cut)} group(s) are in several splits: {cut[0]}; {ADVICE}")


def cut_groups(
    splits: Mapping[str, Mapping[str, str]], groups: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """Yields, for each group in several splits, its name with an item of each of these splits."""
    examples_by_group: dict[str, dict[str, str]] = defaultdict(dict)
    for name, by_key in groups.items():
        for key, group in by_key.items():
            split = splits.get(name, {}).get(key, "")
            if group and split:
                examples_by_group[group].setdefault(split, key)
    for group, examples in sorted(examples_by_group.items()):
        if len(examples) > 1:
            yield f"{group} ({', '.join(f'{key} in {split}' for split, key in examples.items())})"
