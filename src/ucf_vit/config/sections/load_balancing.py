"""Section `load_balancing`: distribution of ranks over data sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from ucf_vit.config.sections.fields import Count, LocalPath, Number, Section, key

Seconds = Annotated[Number, Field(gt=0), WithJsonSchema({"type": "number", "limits": {"gt": 0}})]


class LoadBalancing(Section):
    """Distribution of ranks over data sets."""

    auto_load_balancing: bool = key(
        True,
        "Compute the number of ranks of each data set, and ignore the two keys below. false: data.order is "
        "rank, with these two keys.",
    )
    batches_per_rank_epoch: dict[str, Count] = key(
        {},
        "Batches per rank and epoch of each dataset; all ranks take the largest of these numbers.",
        "batches",
    )
    dataset_group_list: str = key(
        "", "Data ranks of each dataset, in the order of dict_root_dirs, e.g. '2:1:1'."
    )
    plan: LocalPath = key(
        "",
        "data.order rank: directory of a plan by `ucf-vit plan`, which has to fit; empty: make a plan at the "
        "start, in folder plan of trainer.checkpoint_path.",
    )
    tile_seconds: dict[str, Seconds] = key(
        {},
        "Planning: measured time per tile of each dataset, if tiles of some take longer.",
        "seconds",
        derived="tokens of a tile",
    )
    few_ranks: Literal["refuse", "interleave"] = key(
        "refuse",
        "Planning for fewer data ranks than datasets: refuse, or let each rank read all datasets.",
    )

    def groups(self) -> list[int]:
        """Returns the number of data ranks of each data set.

        Raises ValueError if `dataset_group_list` is not numbers separated by colons.
        """
        return [int(part) for part in self.dataset_group_list.split(":")]
