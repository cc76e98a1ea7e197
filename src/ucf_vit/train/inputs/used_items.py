"""Which items a network was trained on, kept with its weights, so that others can be told from them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.core.lists import first_few
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import CONTENTS, fingerprints, joined, real_place
from ucf_vit.data.sources import Item

log = logging.getLogger(__name__)
Use = Literal["trained", "pretrained", "validated"]
"""Uses of items: to train, in the training that weights begin with, or to choose a checkpoint."""
Rows = NDArray[np.int64]
KEY = "items"
"""Where they are in the state of a checkpoint."""
SHOWN = 5


class UsedItems:
    """The fingerprints `[N, 3]` of the items of a run by their use, found beside the training.

    `before` are those that a checkpoint, or the weights that a run begins with, have kept. Where held-out
    items have the contents of training items, a warning names them.
    """

    def __init__(
        self, training: Sequence[Dataset], held_out: Sequence[Dataset], before: Mapping[Use, Rows]
    ) -> None:
        self._stop = Event()
        self._thread = ThreadPoolExecutor(1, "fingerprints")
        self._found = self._thread.submit(_find, training, held_out, before, self._stop.is_set)

    def state_dict(self) -> dict[str, Tensor]:
        """As tensors; waits until they are found."""
        return {use: torch.from_numpy(rows) for use, rows in self._found.result().items()}

    def close(self) -> None:
        """Look at no more files."""
        self._stop.set()
        self._thread.shutdown()


def used_items(state: Mapping[str, Any]) -> dict[Use, Rows]:
    """Returns the items in the state of a checkpoint; none if an earlier version wrote it.

    Raises CheckpointError where it is damaged.
    """
    found: dict[Use, Rows] = {}
    for use, rows in dict(state.get(KEY) or {}).items():
        good = (
            isinstance(rows, Tensor) and rows.dtype == torch.int64 and rows.ndim == 2 and rows.shape[1] == 3
        )
        if not good:
            raise CheckpointError(f"state of the checkpoint: {KEY}.{use} is damaged")
        found[use] = rows.numpy()
    return found


def check_apart(training: Sequence[Dataset], held_out: Sequence[Dataset]) -> None:
    """DataError, naming them, where held-out items are items that train, whatever links lead there."""
    folders: dict[str, str] = {}

    def place(item: Item) -> tuple[str, int]:
        return real_place(item.image, folders), item.step

    wanted = {place(item): f"{one.name}: {item.key}" for one in held_out for item in one.items}
    met = [wanted[at] for one in training for at in map(place, one.items) if at in wanted] if wanted else []
    if met:
        shown = first_few(met, SHOWN)
        raise DataError(
            f"{len(met)} item(s) are there to train and to validate: {shown}; take other ranges or roots"
        )


def _find(
    training: Sequence[Dataset],
    held_out: Sequence[Dataset],
    before: Mapping[Use, Rows],
    stopped: Callable[[], bool],
) -> dict[Use, Rows]:
    own, others = ([fingerprints(one, stopped) for one in datasets] for datasets in (training, held_out))
    _tell_copies(training, own, held_out, others)
    new: dict[Use, list[Rows]] = {"trained": own, "validated": others, "pretrained": []}
    return {
        use: joined([*rows, before[use]] if use in before else rows)
        for use, rows in new.items()
        if rows or use in before
    }


def _tell_copies(
    training: Sequence[Dataset], own: Sequence[Rows], held_out: Sequence[Dataset], others: Sequence[Rows]
) -> None:
    if not others:
        return
    trained, held = np.concatenate(own), np.concatenate(others)
    _, first, second = np.intersect1d(trained[:, CONTENTS], held[:, CONTENTS], return_indices=True)
    pairs = sorted((b, a) for a, b in zip(first, second, strict=True) if held[b, CONTENTS])
    names, others_names = ([item.key for one in sets for item in one.items] for sets in (training, held_out))
    if pairs:
        shown = first_few([f"{others_names[b]} = {names[a]}" for b, a in pairs], SHOWN)
        log.warning("%d validation item(s) have the contents of items that train: %s", len(pairs), shown)
