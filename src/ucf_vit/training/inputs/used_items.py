"""Items that a network was trained on, saved with its weights, so that an evaluation can detect them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import torch
from torch import Tensor

from ucf_vit.config import Run
from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.core.files.urls import is_remote
from ucf_vit.core.lists import first_few
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.fingerprints import real_place
from ucf_vit.data.leaks.compare import COLUMNS, Rows, without_values
from ucf_vit.data.sources import Item
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.inputs.item_search import SHOWN, Findings, ItemSearch, Use

log = logging.getLogger(__name__)
KEY = "items"
"""Key of the items in the state of a checkpoint."""
MANY = 2**31
"""Values up to which local items are read to be compared, unless the config says so."""
WAIT = 20.0
"""Seconds that a training waits for the comparison, unless the config asks for it."""


class UsedItems:
    """Fingerprints `[N, 10]` of the items of a run by their use, computed in a thread.

    `before` are the fingerprints saved in the checkpoint that a run resumes or starts from. With `contents`
    all items are read: copies are found whatever was done to them.
    """

    def __init__(
        self,
        training: Sequence[Dataset],
        held_out: Sequence[Dataset],
        before: Mapping[Use, Rows],
        contents: bool = False,
    ) -> None:
        self._stop = Event()
        self._thread = ThreadPoolExecutor(1, "fingerprints")
        search = ItemSearch(training, held_out, before, contents, self._stop.is_set)
        self._search = self._thread.submit(search.run)

    def wait(self, seconds: float) -> bool:
        """Waits at most `seconds` for the search; returns whether it is done."""
        return self._search in wait([self._search], seconds).done

    def check(self, refuse: bool) -> None:
        """Warns of near copies; raises DataError for exact ones, and for classes of voxels that do not train.

        Without `refuse` these are warnings, as is all that is found later, while the training runs.
        """
        if not self._search.done():
            log.info("items are compared for copies while the training runs; what is found will be a warning")
            self._search.add_done_callback(_tell)
            return
        findings = self._search.result()
        if findings.faults and refuse:
            raise DataError(findings.faults[0])
        _warn(findings)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the fingerprints as tensors; waits until they are computed."""
        return {use: torch.from_numpy(rows) for use, rows in self._search.result().rows.items()}

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
        good = isinstance(rows, Tensor) and rows.dtype == torch.int64 and rows.ndim == 2
        if not good or rows.shape[1] not in (3, COLUMNS):  # 3: of an earlier version, without values
            raise CheckpointError(f"state of the checkpoint: {KEY}.{use} is damaged")
        items[use] = without_values(rows.numpy())
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


def _tell(search: Future[Findings]) -> None:
    if search.exception() is None:
        _warn(search.result())


def _warn(findings: Findings) -> None:
    for text in (*findings.faults, *findings.notes):
        log.warning("%s", text)


def check_copies(items: UsedItems, run: Run, world: World) -> None:
    """Waits for the search as long as `run` says, and raises DataError for exact copies (collective)."""
    asked, started = run.data.leak_check == "contents", time.monotonic()
    while not world.on_main(lambda: items.wait(WAIT)) and asked:
        log.info("comparing items for copies, %.0f s so far", time.monotonic() - started)
    world.on_main(lambda: items.check(run.data.leak_check != "off"))


def compares_contents(run: Run, datasets: Sequence[Dataset]) -> bool:
    """Returns whether items are read to be compared: `data.leak_check`, else if they are local and few."""
    if run.data.leak_check is not None:
        return run.data.leak_check == "contents"
    remote = any(is_remote(item.image) for one in datasets for item in one.items[:1])
    count = sum(len(one.channels) * math.prod(tiling.shape) for one in datasets for tiling in one.tilings)
    return not remote and count <= MANY
