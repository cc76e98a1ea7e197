"""Transfer of weights between networks, e.g. from a masked autoencoder to UNETR."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import product_of
from ucf_vit.models.fit_patches import fit_projection
from ucf_vit.models.transfer_report import Transfer
from ucf_vit.nn.embedding.embed import SequencePositions
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed
from ucf_vit.options import PretrainedOptions
from ucf_vit.registries.networks import NetworkFacts, Output

SHARED = ("embed", "positions", "class_token", "encoder")
"""Modules that have the same meaning in all networks; decoders and heads only share names."""

PROJECTION, ITS_BIAS = "embed.weight", "embed.bias"
OF_VARIABLES, THEIR_BIAS = "embed.tokens.weight", "embed.tokens.embedding"
"""Projection of a patch of all channels, and of one of each variable."""
QKV = (".q.weight", ".k.weight", ".v.weight")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Facts about the network that weights are of.

    Attributes:
        grid: its patches along each axis; None: not known, so that its positions are left out.
        patch: sides of its patches; None: not known, so that all that belongs to pixels is left out.
        variables: names of its variables, if it knows them by name.
        output: result of its forward pass, see `NetworkFacts`; None: not known, so that only the encoder and
            all before it have a meaning in other networks.
    """

    grid: Sequence[int] | None
    patch: Sequence[int] | None
    variables: Sequence[str] = ()
    output: Output | None = None


def transfer(
    target: nn.Module,
    weights: Mapping[str, Tensor],
    source: Source,
    *,
    channels: Sequence[str] = (),
    options: PretrainedOptions = PretrainedOptions(),
) -> Transfer:
    """Copies weights of another network, under the names that they have here, into `target`, in place.

    These are patch embedding, positions, class token and encoder; if both networks return the same, also all
    other modules. If the target has another grid, positions are interpolated; from images to volumes they are
    repeated along the last axis, and the projection of patches is inflated. If it has any other patches, all
    that belongs to single pixels is left out, also where a patch has as many. Rows of variables are matched
    by name. `channels` are the names of the target's channels, if known. A tensor of another shape is left
    out, with the reason.
    Raises UserError if no tensor of the encoder fits, since the target would then start from scratch.
    """
    copy = _Copy(target, weights, source, channels, options)
    for name, value in weights.items():
        if reason := copy.without_meaning(name):
            copy.report.left[name] = reason
        else:
            copy.take(name, value)
    copy.without_bias()
    report = copy.report
    report.initial = [name for name in copy.own if name not in report.arrived]
    if not any(name.startswith("encoder.") for name in report.taken):
        raise UserError(
            f"no tensor of the pretrained encoder fits this model; check embed_dim and depth\n{report}"
        )
    return report


@dataclass
class _Copy:
    """A transfer that is going on; `own` are the tensors of the target."""

    target: nn.Module
    weights: Mapping[str, Tensor]
    source: Source
    channels: Sequence[str]
    options: PretrainedOptions
    report: Transfer = field(default_factory=Transfer)

    def __post_init__(self) -> None:
        self.own: dict[str, Tensor] = self.target.state_dict()
        self.patch: tuple[int, ...] = self.target.input.patch_size
        facts = getattr(self.target, "facts", NetworkFacts())
        self.same_output = self.source.output is not None and self.source.output == facts.output
        self.has_variables = isinstance(self.target.embed, VariableEmbed)

    @property
    def other_patch(self) -> bool:
        return self.source.patch is None or tuple(self.source.patch) != self.patch

    def without_meaning(self, name: str) -> str:
        """Returns why a tensor has no meaning in the target, empty if it has one."""
        if name.partition(".")[0] not in SHARED:
            if not self.same_output:
                return "not part of the encoder"
            if self.other_patch and self.source.output != "class logits":
                return "belongs to patches of other sides"
        if name == OF_VARIABLES and self.other_patch:
            return f"patches of {self._old_patch} pixels, the target's have {product_of(self.patch)}"
        if name in self.own or (self.has_variables and name in (PROJECTION, ITS_BIAS)):
            return ""
        return "the target has no such tensor"

    def take(self, name: str, value: Tensor) -> None:
        """Copies a tensor, changed as it must be, or notes why it does not fit."""
        if self.source.variables and name in self._tables_of_variables():
            self._take_by_name(name, value)
        elif name == PROJECTION:
            self._take_projection(value)
        elif name == ITS_BIAS and self.has_variables:
            self._put(THEIR_BIAS, value.expand(len(self.own[THEIR_BIAS]), -1), "the same for every variable")
        elif name.endswith("positions.table"):
            self._take_positions(name, value)
        else:
            self._put(name, value)

    def without_bias(self) -> None:
        """Sets biases of queries, keys and values to zero where the source has the weights and no bias."""
        for name in [name for name in self.report.taken if name.endswith(QKV)]:
            bias = name.removesuffix("weight") + "bias"
            if bias in self.own and bias not in self.weights:
                self._put(bias, torch.zeros_like(self.own[bias]), "zero, as without a bias")

    def _put(self, name: str, value: Tensor, how: str = "", origin: str = "") -> None:
        """Copies `value`, which `how` says to be changed; a shape that does not fit is noted of `origin`."""
        if value.shape != self.own[name].shape:
            shape, own = list(value.shape), list(self.own[name].shape)
            self.report.left[origin or name] = f"shape {shape}, the target has {own}"
            return
        if not value.is_floating_point():
            self.report.left[origin or name] = f"{str(value.dtype).removeprefix('torch.')}, no real numbers"
            return
        self.own[name].copy_(value)
        self.report.note(name, how)

    def _take_projection(self, value: Tensor) -> None:
        """Copies the projection of patches, fitted to channels and axes; of named variables, to each."""
        if self.source.patch is None:
            self.report.left[PROJECTION] = f"patches of {self._old_patch}"
            return
        options, patch = self.options, self.source.patch
        if self.has_variables:
            names = self.target.input.variables.names
            parts = [fit_projection(value, patch, self.patch, [name], options) for name in names]
        else:
            count = self.own[PROJECTION].shape[1] // math.prod(self.patch)
            known = [*self.channels] if len(self.channels) == count else [None] * count
            parts = [fit_projection(value, patch, self.patch, known, options)]
        fitted, how = [part for part, _ in parts if part is not None], parts[0][1]
        if not fitted:
            self.report.left[PROJECTION] = how
        elif self.has_variables:
            self._put(OF_VARIABLES, torch.stack([part.T for part in fitted]), how or "one", PROJECTION)
        else:
            self._put(PROJECTION, fitted[0], how)

    def _take_positions(self, name: str, table: Tensor) -> None:
        """Copies a position table, interpolated if the grids differ and repeated along a third axis."""
        new = self.target.get_submodule(name.rpartition(".")[0]).grid
        if self.source.grid is None:
            where = f"how its {len(table)} patches lie is not known"
            self.report.left[name] = f"{where}; the target has {product_of(new)}"
            return
        old = tuple(self.source.grid)
        if len(table) != math.prod(old):
            raise UserError(
                f"{name} has {len(table)} rows, not one for each of the {product_of(old)} patches of its grid"
            )
        flat, width = new[: len(old)], self.own[name].shape[1]
        if table.shape[1] != width or (len(old) != len(new) and (len(old), len(new)) != (2, 3)):
            self.report.left[name] = (
                f"{product_of(old)} patches, {table.shape[1]} wide; the target has {product_of(new)}, {width}"
            )
            return
        steps = []
        if old != flat:
            table = interpolate(table, old, flat)
            steps.append(f"{product_of(old)} patches to {product_of(flat)}")
        if flat != new:
            table = table.repeat_interleave(new[-1], 0)
            steps.append(f"repeated {new[-1]} times along the last axis")
        self._put(name, table, "; ".join(steps))

    def _tables_of_variables(self) -> tuple[str, ...]:
        """Returns the names of the tensors that have the same number of rows for each variable."""
        if not self.has_variables:
            return ()
        sequences = isinstance(self.target.positions, SequencePositions)
        places = ("positions.table",) if sequences else ()
        return (OF_VARIABLES, THEIR_BIAS, "positions.channel.table", *places)

    def _take_by_name(self, name: str, value: Tensor) -> None:
        """Copies the rows of the variables that both networks know."""
        names, theirs = self.target.input.variables.names, list(self.source.variables)
        own = self.own[name].unflatten(0, (len(names), -1))
        rows = value.unflatten(0, (len(theirs), -1))
        if own.shape[1:] != rows.shape[1:]:
            self.report.left[name] = f"rows {list(rows.shape[1:])}, the target has {list(own.shape[1:])}"
            return
        known = [variable for variable in names if variable in theirs]
        for variable in known:
            own[names.index(variable)] = rows[theirs.index(variable)]
        if len(known) == len(names):
            self.report.taken.append(name)
        elif not known:
            self.report.left[name] = "no variable in common"
        else:
            self.report.partly[name] = f"{len(known)} of {len(names)} variables: {', '.join(known)}"

    @property
    def _old_patch(self) -> str:
        return "sides that are not known" if self.source.patch is None else product_of(self.source.patch)
