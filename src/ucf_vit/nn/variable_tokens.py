"""Many variables: a token for each variable of a patch, then one token for all of them.

Every parameter is there for all variables at once, and a batch with some of them takes their rows: whatever
variables the batches of a step have, every parameter has a gradient, zero in the rows of absent variables.
So processes may see different variables at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import did_you_mean
from ucf_vit.nn.aggregation import CrossAggregation, GroupSlots, slots_of
from ucf_vit.nn.init import normal_

Kind = Literal["cross", "hierarchical"]
Partial = Literal["linear", "attention"]


@dataclass(frozen=True)
class Variables:
    """The variables that a network knows, by name; their order is that of its parameters' rows."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("use_varemb needs default_vars, the names of the variables that the model knows")
        if len(set(self.names)) < len(self.names):
            raise UserError(f"default_vars {list(self.names)}: a variable is there twice; remove one")

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, given: Sequence[str] | None) -> tuple[int, ...]:
        """The rows of the variables `given`, in their order; None: all.

        Raises UserError for a variable that is not known, or there twice.
        """
        if given is None:
            return tuple(range(len(self)))
        for name in given:
            if name not in self.names:
                known = ", ".join(map(repr, self.names))
                hint = did_you_mean(name, list(self.names))
                raise UserError(
                    f"variable {name!r} is not one that the model knows{hint}; default_vars has {known}"
                )
        if len(set(given)) < len(given) or not given:
            raise UserError(f"variables {list(given)}: expected one or more names, each once")
        return tuple(map(self.names.index, given))


class VariableTokens(nn.Module):
    """A projection and an embedding for each of V variables: `weight` `[V, P, D]`, `embedding` `[V, D]`.

    The embedding is the bias of the projection too: the two could only ever be added. To be split over
    processes by variable, both tables along their first axis.
    """

    def __init__(self, num_variables: int, patch_dim: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_variables, patch_dim, dim))
        self.embedding = nn.Parameter(torch.empty(num_variables, dim))

    def reset_parameters(self) -> None:
        """Draw each projection as that of a Linear; small embeddings."""
        normal_(self.weight, std=math.sqrt(2 / sum(self.weight.shape[1:])))
        normal_(self.embedding, std=0.02)

    def forward(self, patches: Tensor, numbers: Tensor, share: Tensor | None = None) -> Tensor:
        """Patches `[B, L, V', P]` of the variables `numbers` `[V']` to tokens `[B, L, V', D]`.

        With `share` `[G, g]`, patches `[B, L, G, g, P]` of the variables `numbers` `[G, g]` become one token
        per group, `[B, L, G, D]`: the sum of its variables' tokens by these shares, in one product.
        """
        weight, embedding = self.weight[numbers], self.embedding[numbers]
        if share is None:
            tokens = torch.einsum("blvp,vpd->blvd", patches, weight)
            return tokens + embedding.to(tokens.dtype)
        tokens = torch.einsum("blgvp,gvpd->blgd", patches * share[..., None].to(patches.dtype), weight)
        mean = torch.einsum("gv,gvd->gd", share.to(embedding.dtype), embedding)
        return tokens + mean.to(tokens.dtype)


class VariableEmbed(nn.Module):
    """Patches of named variables to one token per patch: what `PatchEmbed` is for channels without names.

    "cross": one cross-attention over all variables (Nguyen et al. 2023, ClimaX). "hierarchical": variables in
    groups of `group` neighbours, each made one token first, then one cross-attention over groups, as in
    distributed cross-channel hierarchical aggregation (Tsaris et al. 2025); groups can be computed where
    their parameters are, and tokens of all variables need never be in one place. The first step is "linear",
    the mean of the group's tokens, or "attention", one cross-attention for all groups. `kind` None does not
    aggregate: every token is of one variable.

    Raises UserError if there is no such `kind` or `partial`, a group is empty, or the heads do not divide
    `dim`.
    """

    def __init__(
        self,
        num_variables: int,
        patch_dim: int,
        dim: int,
        num_heads: int,
        kind: Kind | None,
        group: int,
        partial: Partial,
    ) -> None:
        super().__init__()
        check_aggregation(kind, group, partial)
        self.group = group if kind == "hierarchical" else None
        self.tokens = VariableTokens(num_variables, patch_dim, dim)
        groups = self.group is not None and partial == "attention"
        self.partial = CrossAggregation(dim, num_heads) if groups else None
        self.aggregation = None if kind is None else CrossAggregation(dim, num_heads)

    def forward(self, patches: Tensor, numbers: Sequence[int]) -> Tensor:
        """Flat patches `[B, L, V' * P]` of the variables `numbers` to `[B, L, D]`.

        Without aggregation patches `[B, V' * L, P]`, variable by variable, to `[B, V' * L, D]`.
        """
        if self.aggregation is None:
            apart = patches.unflatten(1, (len(numbers), -1)).transpose(1, 2)
            return self.tokens(apart, _index(numbers, patches)).transpose(1, 2).flatten(1, 2)
        patches = patches.unflatten(2, (len(numbers), -1))
        if self.group is None:
            return self.aggregation(self.tokens(patches, _index(numbers, patches)))
        return self.aggregation(self._groups(patches, slots_of(numbers, self.group, patches.device)))

    def _groups(self, patches: Tensor, slots: GroupSlots) -> Tensor:
        """Patches `[B, L, V', P]` to tokens of groups `[B, L, G, D]`."""
        shape = slots.channel.shape
        patches = patches.index_select(2, slots.channel.flatten())
        if self.partial is None:
            return self.tokens(patches.unflatten(2, shape), slots.number, slots.share)
        tokens = self.tokens(patches, slots.number.flatten()).unflatten(2, shape)
        return self.partial(tokens, slots.present)


def check_aggregation(kind: str | None, group: int, partial: str) -> None:
    """Raise UserError if there is no such aggregation."""
    for name, value, known in (
        ("aggregation", kind, ["cross", "hierarchical"]),
        ("aggregation_partial", partial, ["linear", "attention"]),
    ):
        if value is not None and value not in known:
            raise UserError(
                f"{name} {value!r} is unknown{did_you_mean(value, known)}; use {' or '.join(known)}"
            )
    if group < 1:
        raise UserError(f"aggregation_group {group}: a group has at least one variable")


def _index(numbers: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(numbers, device=like.device)
