"""Weights of the networks here, with their own names."""

from __future__ import annotations

from collections.abc import Container, Mapping
from math import prod

from torch import Tensor

from ucf_vit.models.transfer import OF_VARIABLES, PROJECTION, THEIR_BIAS, Source
from ucf_vit.registries.networks import Output
from ucf_vit.weights.converted import Converted, Family, Hint

_OUTPUTS: dict[str, Output] = {
    "decoder.mask_token.token": "masked patches",
    "mask_token.token": "masked patches",
    "decoder.stages.0.up.linear.weight": "voxel logits",
    "head.weight": "class logits",
}
"""Output of a network by a tensor that others do not have."""


def recognises(names: Container[str]) -> bool:
    """Returns whether tensors are of an encoder of this package."""
    return "encoder.blocks.0.attn.q.weight" in names and "encoder.norm.weight" in names


def convert(tensors: Mapping[str, Tensor], hint: Hint) -> Converted:
    """Returns the tensors as they are; grid, patch and variables are those of `hint` that fit."""
    output = next((found for name, found in _OUTPUTS.items() if name in tensors), None)
    source = Source(
        grid=_grid(tensors, hint),
        patch=hint.patch if _fits(tensors, hint.patch) else None,
        variables=hint.variables if _rows(tensors, THEIR_BIAS) == len(hint.variables) else (),
        output=output,
    )
    return Converted(weights=dict(tensors), source=source)


def _grid(tensors: Mapping[str, Tensor], hint: Hint) -> tuple[int, ...] | None:
    """Returns the grid of the position table: that of `hint`, or one of equal sides."""
    rows, dims = _rows(tensors, "positions.table"), len(hint.patch or hint.grid or ())
    if hint.grid is not None and prod(hint.grid) == rows:
        return hint.grid
    side = round(rows ** (1 / dims)) if dims else 0
    return (side,) * dims if dims and rows and side**dims == rows else None


def _fits(tensors: Mapping[str, Tensor], patch: tuple[int, ...] | None) -> bool:
    projection = tensors.get(PROJECTION, tensors.get(OF_VARIABLES))
    return patch is not None and projection is not None and projection.shape[1] % prod(patch) == 0


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return len(tensors[name]) if name in tensors else 0


FAMILY = Family("ucf_vit", recognises, convert)
