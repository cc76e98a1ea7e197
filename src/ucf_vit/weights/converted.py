"""Weights under the names that they have in the networks here, and the facts that their shapes tell."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from math import prod

from torch import Tensor

from ucf_vit.models.transfer import PROJECTION, Source

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Facts about the network that weights are for, where a file leaves them open; None: not known."""

    grid: tuple[int, ...] | None = None
    patch: tuple[int, ...] | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Weights of a family, converted.

    Attributes:
        weights: tensors by the names of the networks here; `embed.weight` is `[D, C * prod(P)]`.
        source: grid, patch, variables and output of the network they are of.
        left: tensors of the file that have no counterpart here, with the reason.
        norm_eps: epsilon of the layer norms that the family uses; None: not known.
    """

    weights: Weights
    source: Source
    left: dict[str, str] = field(default_factory=dict)
    norm_eps: float | None = None

    @property
    def width(self) -> int | None:
        """Width of a token; None without an encoder."""
        norm = self.weights.get("encoder.blocks.0.norm1.weight")
        return None if norm is None else len(norm)

    @property
    def depth(self) -> int:
        """Number of blocks of the encoder."""
        numbers = {int(name.split(".")[2]) for name in self.weights if name.startswith("encoder.blocks.")}
        return max(numbers, default=-1) + 1

    @property
    def channels(self) -> int | None:
        """Channels of a patch; None if that is not known."""
        projection, patch = self.weights.get(PROJECTION), self.source.patch
        return None if projection is None or patch is None else projection.shape[1] // prod(patch)


@dataclass(frozen=True)
class Family:
    """A kind of file of weights.

    `recognises` says by the names of tensors whether they are of this kind, and `convert` converts them;
    tensors may be on device `meta`, where only shapes are needed. `convert` raises UserError for a network
    that has blocks which the networks here do not have.
    """

    name: str
    recognises: Callable[[Container[str]], bool]
    convert: Callable[[Mapping[str, Tensor], Hint], Converted]
