"""Sizes of networks by name, such as `unetr_base`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.options import DecoderOptions, EncoderOptions
from ucf_vit.registries.networks import NETWORKS


@dataclass(frozen=True)
class Size:
    """A network of the registry with its width and depth; `options` are those that belong to no encoder."""

    network: str
    encoder: EncoderOptions = EncoderOptions()
    decoder: DecoderOptions = DecoderOptions()
    options: Mapping[str, Any] = field(default_factory=dict)


_WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
"""Width, depth and heads: Ti, S, B and L of Dosovitskiy et al. (2021) and Touvron et al. (2021)."""
_DECODERS = {"tiny": (128, 4, 4), "small": (256, 8, 8)}
"""The same of the decoders of MAE; those of base and large are the published one, 512 wide and 8 deep."""
_OPTIONS: dict[str, dict[str, Any]] = {
    "vit": {},
    "mae": {},
    "unetr": {},
    "sap": {},
    "diffusion": {"linear_decoder": True},
}
"""Networks that have sizes; a diffusion model has those of DiT (Peebles and Xie 2023), without a decoder."""


def _sizes() -> Iterator[tuple[str, Size]]:
    for network, options in _OPTIONS.items():
        for name, (dim, depth, heads) in _WIDTHS.items():
            encoder = EncoderOptions(embed_dim=dim, depth=depth, num_heads=heads)
            width, blocks, decoder_heads = _DECODERS.get(name, (512, 8, 16))
            decoder = DecoderOptions(embed_dim=width, depth=blocks, num_heads=decoder_heads)
            yield f"{network}_{name}", Size(network, encoder, decoder, options)


SIZES: dict[str, Size] = dict(_sizes())
"""Sizes by name."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of all models that match `pattern`, such as `mae*`, for `create_model`.

    >>> list_models("mae*")
    ['mae_base', 'mae_large', 'mae_small', 'mae_tiny']
    """
    return sorted(name for name in SIZES if fnmatchcase(name, pattern))


def size_of(name: str) -> Size:
    """Returns the size called `name`, or the defaults of a network such as `unetr` or `path.py:Class`.

    Raises UserError if there is neither.
    """
    if name in SIZES:
        return SIZES[name]
    try:
        NETWORKS.check(name)
    except UserError:
        known = [*SIZES, *NETWORKS]
        hint = did_you_mean(name, known)
        raise UserError(f"no model named {name!r}{hint}; ucf_vit.list_models() lists them") from None
    return Size(name)
