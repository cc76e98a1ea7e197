"""The grids of an evaluation: on which items were predicted, and on which predictions were compared."""

from __future__ import annotations

from collections.abc import Sequence

from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.tasks.task import Task

STORED = "compared on the grid on which they are stored"
PREPARED = "compared on the grid on which they were prepared, since prepared data has no original labels"


def grids_in_words(datasets: Sequence[Dataset], task: Task) -> dict[str, str]:
    """Returns a fact on the grids of whole items; none where all are used as they are stored."""
    if not task.facts.whole_items:
        return {}
    texts = {}
    for one in datasets:
        made = GridOptions.of(one.source.made_with or {})
        options = made if one.grid.as_stored else one.grid
        if not options.as_stored:
            compared = STORED if made.as_stored else PREPARED
            texts[one.name] = f"items are predicted with {options} and {compared}"
    return {"Grid": "; ".join(f"{name}: {text}" for name, text in texts.items())} if texts else {}
