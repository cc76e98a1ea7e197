"""Section `load_balancing`: how ranks are shared out among datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from ucf_vit.config.fields import Count, Number, Section, key

Seconds = Annotated[Number, Field(gt=0), WithJsonSchema({"type": "number", "limits": {"gt": 0}})]


class LoadBalancing(Section):
    """How ranks are shared out among datasets."""

    auto_load_balancing: bool = key(
        True, "Every rank reads its share of all datasets, to their end; the two keys below are not read."
    )
    batches_per_rank_epoch: dict[str, Count] = key(
        {}, "Batches per rank and epoch of each dataset.", "batches"
    )
    dataset_group_list: str = key(
        "", "Data ranks of each dataset, in the order of dict_root_dirs, e.g. '2:1:1'."
    )
    tile_seconds: dict[str, Seconds] = key(
        {},
        "`ucf-vit plan`: measured time of a tile of each dataset, where tiles of some take longer.",
        "seconds",
        derived="tokens of a tile",
    )
    few_ranks: Literal["refuse", "interleave"] = key(
        "refuse",
        "`ucf-vit plan`, with fewer data ranks than datasets: refuse, or let each rank read all datasets.",
    )

    def groups(self) -> list[int]:
        """The data ranks of each dataset. ValueError if the text is not numbers with colons between."""
        return [int(part) for part in self.dataset_group_list.split(":")]
