"""Section `variables`: channels with embeddings of their own."""

from __future__ import annotations

from typing import Literal

from ucf_vit.config.sections.fields import Section, Whole, key, option
from ucf_vit.options import VariableOptions


class Variables(Section):
    """Variables with embeddings of their own, and the aggregation of their tokens."""

    use_varemb: bool = key(
        False,
        "Embed each variable by itself and aggregate over those that a batch has: batches may have any of "
        "default_vars, in any order.",
    )
    aggregation: Literal["cross", "hierarchical"] = key(
        "cross",
        "use_varemb: how the tokens of variables become one: cross: one cross-attention over all; "
        "hierarchical: first within groups, then over groups, for many variables. With separate_channels "
        "they stay apart.",
    )
    aggregation_group: Whole = option(
        VariableOptions,
        "group",
        "Aggregation hierarchical: neighbours in default_vars that make a group.",
        "variables",
    )
    aggregation_partial: Literal["linear", "attention"] = key(
        "linear",
        "Aggregation hierarchical: how a group becomes one token: linear: the mean of its tokens; attention: "
        "a cross-attention, the same for all groups.",
    )
