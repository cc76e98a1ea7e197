"""Items that a network was trained on, saved with its weights, so that an evaluation can detect them."""

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
"""Uses of items: in this training, in the training of the initial weights, or to choose a checkpoint."""
Rows = NDArray[np.int64]
KEY = "items"
"""Key of the items in the state of a checkpoint."""
SHOWN = 5


class UsedItems:
    """Fingerprints `[N, 3]` of the items of a run by their use, computed in a thread during training.

    `before` are the fingerprints saved in the checkpoint that a run resumes or starts from. A warning names
    held-out items with the same contents as training items.
    """

    def __init__(
        self, training: Sequence[Dataset], held_out: Sequence[Dataset], before: Mapping[Use, Rows]
    ) -> None:
        self._stop = Event()
        self._thread = ThreadPoolExecutor(1, "fingerprints")
        self._fingerprints = self._thread.submit(_find, training, held_out, before, self._stop.is_set)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the fingerprints as tensors; waits until they are computed."""
        return {use: torch.from_numpy(rows) for use, rows in self._fingerprints.result().items()}

    def close(self) -> None:
        """Stops reading files."""
        self._stop.set()
        self._thread.shutdown()


def used_items(state: Mapping[str, Any]) -> dict[Use, Rows]:
    """Returns the items in the state of a checkpoint; empty if an earlier version wrote it.

    Raises CheckpointError if they are damaged.
    """
    items: dict[Use, Rows] = {}
    for use, rows in dict(state.get(KEY) or {}).items():
        good = (
            isinstance(rows, Tensor) and rows.dtype == torch.int64 and rows.ndim == 2 and rows.shape[1] == 3
        )
        if not good:
            raise CheckpointError(f"state of the checkpoint: {KEY}.{use} is damaged")
        items[use] = rows.numpy()
    return items


def check_apart(training: Sequence[Dataset], held_out: Sequence[Dataset]) -> None:
    """Raises DataError naming held-out items that are training items too; symbolic links are followed."""
    folders: dict[str, str] = {}

    def place(item: Item) -> tuple[str, int]:
        return real_place(item.image, folders), item.step

    wanted = {place(item): f"{one.name}: {item.key}" for one in held_out for item in one.items}
    places = (place(item) for one in training for item in one.items) if wanted else ()
    common = [wanted[at] for at in places if at in wanted]
    if common:
        shown = first_few(common, SHOWN)
        raise DataError(
            f"{len(common)} item(s) are used to train and to validate: {shown}; take other ranges or roots"
        )


def _find(
    training: Sequence[Dataset],
    held_out: Sequence[Dataset],
    before: Mapping[Use, Rows],
    stopped: Callable[[], bool],
) -> dict[Use, Rows]:
    own, others = ([fingerprints(one, stopped) for one in datasets] for datasets in (training, held_out))
    _warn_of_copies(training, own, held_out, others)
    new: dict[Use, list[Rows]] = {"trained": own, "validated": others, "pretrained": []}
    return {
        use: joined([*rows, before[use]] if use in before else rows)
        for use, rows in new.items()
        if rows or use in before
    }


def _warn_of_copies(
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
