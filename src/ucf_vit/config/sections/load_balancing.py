"""Section `load_balancing`: how ranks are shared out among datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from ucf_vit.config.sections.fields import Count, LocalPath, Number, Section, key

Seconds = Annotated[Number, Field(gt=0), WithJsonSchema({"type": "number", "limits": {"gt": 0}})]


class LoadBalancing(Section):
    """How ranks are shared out among datasets."""

    auto_load_balancing: bool = key(
        True,
        "Shares of the ranks are worked out, the two keys below not read. false: data.order is rank, with "
        "these two keys.",
    )
    batches_per_rank_epoch: dict[str, Count] = key(
        {},
        "Batches per rank and epoch of each dataset; ranks of all take as many as the largest says.",
        "batches",
    )
    dataset_group_list: str = key(
        "", "Data ranks of each dataset, in the order of dict_root_dirs, e.g. '2:1:1'."
    )
    plan: LocalPath = key(
        "",
        "data.order rank: directory of a plan by `ucf-vit plan`, which has to fit; empty: plan at the start, "
        "to plan in trainer.checkpoint_path.",
    )
    tile_seconds: dict[str, Seconds] = key(
        {},
        "Planning: measured time of a tile of each dataset, where tiles of some take longer.",
        "seconds",
        derived="tokens of a tile",
    )
    few_ranks: Literal["refuse", "interleave"] = key(
        "refuse",
        "Planning for fewer data ranks than datasets: refuse, or let each rank read all datasets.",
    )

    def groups(self) -> list[int]:
        """The data ranks of each dataset. ValueError if the text is not numbers with colons between."""
        return [int(part) for part in self.dataset_group_list.split(":")]
