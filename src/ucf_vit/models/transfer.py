"""Transfer of encoder weights between networks, e.g. from a masked autoencoder to UNETR."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import product_of
from ucf_vit.nn.embedding.embed import SequencePositions
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed

SHARED = ("embed", "positions", "class_token", "encoder")
"""Modules that have the same meaning in all networks; decoders and heads only share names."""

OF_PIXELS = ("embed.weight", "embed.tokens.weight")
"""Tensors with a weight for each pixel of a patch."""


@dataclass
class Transfer:
    """Report of a transfer.

    Attributes:
        taken: tensors that were copied.
        interpolated: position tables that were resampled, with the grids.
        partly: tensors of which only the rows of some variables were copied, with these variables.
        left: tensors of the source that were not copied, with the reason.
        initial: tensors of the target that keep their initial values.
    """

    taken: list[str] = field(default_factory=list)
    interpolated: dict[str, str] = field(default_factory=dict)
    partly: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    initial: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Returns the report as several lines, with the tensors of a module counted instead of listed."""
        lines = [f"taken: {_summary(self.taken)}"]
        lines += [f"interpolated: {name} ({how})" for name, how in self.interpolated.items()]
        lines += [f"taken in part: {name} ({which})" for name, which in self.partly.items()]
        for reason in dict.fromkeys(self.left.values()):
            names = [name for name, why in self.left.items() if why == reason]
            lines.append(f"left ({reason}): {_summary(names)}")
        lines.append(f"keeps its initial values: {_summary(self.initial)}")
        return "\n".join(lines)


def transfer(
    target: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    source_grid: Sequence[int],
    source_patch: Sequence[int],
    source_variables: Sequence[str] = (),
) -> Transfer:
    """Copies patch embedding, positions, class token and encoder from `weights` into `target`, in place.

    `weights` is the state dict of a network with patches of sides `source_patch` on `source_grid` (patches
    per axis). If the target has another grid, positions are interpolated; if it has other patches, the
    projection of their pixels is left out, also where it has as many. Rows of variables are matched by name
    with `source_variables`, so that source and target may know different variables. A tensor of another shape
    is left out, with the reason.
    Raises UserError if no tensor of the encoder fits, since the target would then start from scratch.
    """
    report = Transfer()
    own = target.state_dict()
    for name, value in weights.items():
        if name.partition(".")[0] not in SHARED:
            report.left[name] = "not part of the encoder"
        elif name not in own:
            report.left[name] = "the target has no such tensor"
        elif name in OF_PIXELS and tuple(source_patch) != target.input.patch_size:
            report.left[name] = (
                f"patches of {product_of(source_patch)} pixels, the target's have "
                f"{product_of(target.input.patch_size)}"
            )
        elif source_variables and name in _of_variables(target):
            _take_by_name(target, name, value, source_variables, report)
        elif name == "positions.table":
            _place(own[name], target.get_submodule("positions").grid, value, source_grid, report)
        elif value.shape != own[name].shape:
            report.left[name] = f"shape {list(value.shape)}, the target has {list(own[name].shape)}"
        else:
            own[name].copy_(value)
            report.taken.append(name)
    arrived = {*report.taken, *report.interpolated, *report.partly}
    report.initial = [name for name in own if name not in arrived]
    if not any(name.startswith("encoder.") for name in report.taken):
        raise UserError(
            f"no tensor of the pretrained encoder fits this model; check embed_dim and depth\n{report}"
        )
    return report


def _of_variables(target: nn.Module) -> tuple[str, ...]:
    """Returns the names of the tensors that have the same number of rows for each variable."""
    if not isinstance(target.embed, VariableEmbed):
        return ()
    sequences = ("positions.table",) if isinstance(target.positions, SequencePositions) else ()
    return ("embed.tokens.weight", "embed.tokens.embedding", "positions.channel.table", *sequences)


def _take_by_name(
    target: nn.Module, name: str, value: Tensor, source_variables: Sequence[str], report: Transfer
) -> None:
    """Copies the rows of the variables that both networks know."""
    names = target.input.variables.names
    own = target.state_dict()[name].unflatten(0, (len(names), -1))
    rows = value.unflatten(0, (len(source_variables), -1))
    if own.shape[1:] != rows.shape[1:]:
        report.left[name] = f"rows {list(rows.shape[1:])}, the target has {list(own.shape[1:])}"
        return
    known = [variable for variable in names if variable in source_variables]
    for variable in known:
        own[names.index(variable)] = rows[list(source_variables).index(variable)]
    if len(known) == len(names):
        report.taken.append(name)
    elif not known:
        report.left[name] = "no variable in common"
    else:
        report.partly[name] = f"{len(known)} of {len(names)} variables: {', '.join(known)}"


def _place(
    own: Tensor, grid: Sequence[int], table: Tensor, source_grid: Sequence[int], report: Transfer
) -> None:
    """Copies a position table, interpolated if the grids differ."""
    name, old, new = "positions.table", tuple(source_grid), tuple(grid)
    if len(table) != math.prod(old):
        raise UserError(
            f"{name} has {len(table)} rows, not one for each of the {product_of(old)} patches of its grid"
        )
    if len(old) != len(new) or table.shape[1] != own.shape[1]:
        report.left[name] = (
            f"{product_of(old)} patches, {table.shape[1]} wide; the target has {product_of(new)}, "
            f"{own.shape[1]}"
        )
    elif old == new:
        own.copy_(table)
        report.taken.append(name)
    else:
        own.copy_(interpolate(table, old, new))
        report.interpolated[name] = f"{product_of(old)} patches to {product_of(new)}"


def _summary(names: Sequence[str]) -> str:
    """Returns the names grouped by their first part: `encoder (48 tensors), embed.bias`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0], []).append(name)
    texts = [f"{top} ({len(all_)} tensors)" if len(all_) > 1 else all_[0] for top, all_ in groups.items()]
    return ", ".join(texts) or "nothing"
