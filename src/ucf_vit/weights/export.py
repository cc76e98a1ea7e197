"""Weights of a network here under the names of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.nn.unetr_decoder import stages_of
from ucf_vit.weights.converted import Weights
from ucf_vit.weights.families import monai_unetr, monai_vit, timm_vit
from ucf_vit.weights.recognise import convert

FORMATS = ("ucf_vit", "timm", "monai")
OF_ENCODER = ("embed.", "positions.", "class_token.", "encoder.", "head.")


def named_as(to: str, weights: Mapping[str, Tensor], patch: Sequence[int]) -> tuple[Weights, list[str]]:
    """Returns the weights of a network with patches of sides `patch`, named as in the program `to`.

    Also returns the weights that were left out: decoders of masked autoencoders, which others do not have.
    Raises UserError for networks that the other program does not have.
    """
    if to not in FORMATS:
        raise UserError(f"weights are exported to {', '.join(FORMATS)}, not to {to!r}")
    if to == "ucf_vit":
        return dict(weights), []
    if "embed.weight" not in weights or "positions.table" not in weights:
        raise UserError(f"{to} has no network with adaptive patches or named variables; export to ucf_vit")
    sides = tuple(patch)
    if to == "monai" and "decoder.pixels.conv1.conv.weight" in weights:
        return _unetr(weights, sides), []
    encoder = {name: value for name, value in weights.items() if name.startswith(OF_ENCODER)}
    left = [name for name in weights if name not in encoder]
    if to == "monai":
        return monai_vit.to_monai(encoder, sides), left
    if len(sides) != 2:
        raise UserError("timm has no networks for volumes; export to monai")
    return timm_vit.to_timm(encoder, sides), left


def _unetr(weights: Mapping[str, Tensor], patch: tuple[int, ...]) -> Weights:
    factors = stages_of(patch)
    depth = convert(weights)[1].depth
    if depth != 12 or any(side != 16 for side in patch):
        raise UserError(
            f"MONAI's UNETR has 12 blocks and patches of 16 pixels, this one {depth} blocks and patches of "
            f"{' x '.join(map(str, patch))} ({prod(patch)} pixels)"
        )
    return monai_unetr.to_monai_unetr(weights, patch, factors)
