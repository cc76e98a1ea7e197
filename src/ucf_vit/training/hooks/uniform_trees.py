"""Hook that warns if adaptive patches are nearly uniform."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ucf_vit.core.log import get_logger
from ucf_vit.patching.tree.uniformity import advice_if_uniform
from ucf_vit.training.hooks.hook import Hook, RunState

if TYPE_CHECKING:
    from ucf_vit.data.batch import Batch

log = get_logger(__name__)


class TreesHook(Hook):
    """Grows the trees of one tile of each data set at the start, and warns if they are nearly uniform.

    The report shows the warning too. `examples` yields the tiles.
    """

    def __init__(self, examples: Callable[[], Iterable[Batch]]) -> None:
        self.examples = examples

    def on_start(self, state: RunState) -> None:
        """Checks the trees, if the model takes adaptive patches."""
        patcher = state.task.patcher
        if patcher is None:
            return
        for batch in self.examples():
            tile = batch.image[:1]
            detail = patcher.detail_of(tile)
            advice = advice_if_uniform(patcher.grow_on(detail), detail[0], patcher)
            if advice:
                log.warning("%s: %s: %s", batch.dataset, batch.files[0], advice)
