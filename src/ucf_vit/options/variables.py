"""Options of networks that know their channels by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.options.rules import check_values, choice, whole

Aggregation = Literal["cross", "hierarchical"]
PartialAggregation = Literal["linear", "attention"]


@dataclass(frozen=True, kw_only=True)
class VariableOptions:
    """The variables that a network knows by name, and how their tokens become one.

    A batch may then have any of them, in any order. Where an image has tokens for each variable
    (`InputOptions.separate_channels`), nothing is aggregated.

    Attributes:
        names: all variables, in the order of the rows of the network's parameters.
        aggregation: "cross": one cross-attention over all variables (Nguyen et al. 2023, ClimaX);
            "hierarchical": first over groups of neighbours, then over the groups (Tsaris et al. 2025).
        group: variables in a group of the hierarchical aggregation.
        partial: how a group becomes one token: "linear", the mean of its tokens, or "attention", a
            cross-attention that all groups share.

    Raises UserError if there are no names, a name occurs twice, or an option is not one of these.
    """

    names: Sequence[str]
    aggregation: Aggregation = choice("cross", Aggregation)
    group: int = whole(8, ge=1)
    partial: PartialAggregation = choice("linear", PartialAggregation)

    def __post_init__(self) -> None:
        check_values(self)
        object.__setattr__(self, "names", tuple(self.names))
        if not self.names:
            raise UserError("use_varemb needs default_vars, the names of the variables that the model knows")
        if len(set(self.names)) < len(self.names):
            raise UserError(f"default_vars {list(self.names)}: a variable occurs twice; remove one")

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, names: Sequence[str] | None) -> tuple[int, ...]:
        """Returns the row of each variable in `names`, in their order; None stands for all variables.

        Raises UserError for an unknown variable, or for one that occurs twice.
        """
        if names is None:
            return tuple(range(len(self)))
        for name in names:
            if name not in self.names:
                hint, known = did_you_mean(name, list(self.names)), ", ".join(map(repr, self.names))
                raise UserError(
                    f"variable {name!r} is not one that the model knows{hint}; default_vars has {known}"
                )
        if len(set(names)) < len(names) or not names:
            raise UserError(f"variables {list(names)}: expected one or more names, each once")
        return tuple(map(self.names.index, names))
