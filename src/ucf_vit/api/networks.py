"""Networks by name, in any size and for any shape of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from torch import nn

from ucf_vit.api.sizes import size_of
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.signatures import Signature
from ucf_vit.models import MODELS
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions, VariableOptions
from ucf_vit.options.rules import AT_LEAST_1, check
from ucf_vit.registries.networks import network_facts

_DECODER = "decoder_"
"""Start of the names of the decoder's options."""


def create_model(
    name: str,
    *,
    in_chans: int = 3,
    num_classes: int | None = None,
    tile_size: Sequence[int] = (224, 224),
    **options: Any,
) -> nn.Module:
    """Returns a network with random weights, such as `vit_base`; `list_models` has the names.

    It is a plain `torch.nn.Module`; its `pretrained_cfg` has the facts of `describe_network`.

    Args:
        name: a name of `list_models`, or of a network (`unetr`, `path/to/file.py:Class`).
        in_chans: channels C of an image.
        num_classes: number of classes K, background included; for networks that predict classes.
        tile_size: sides of an image in pixels: 2 for images, 3 for volumes.
        options: any field of `InputOptions` (patch_size, pos_embed, adaptive_patching, ...), of
            `EncoderOptions` (embed_dim, depth, drop_path, ...), of `DecoderOptions` after `decoder_`, or any
            further parameter of the network (feature_size, mask_ratio, ...). `variables` may be a list of
            names.

    Raises UserError for an unknown name or option, or options that do not fit together.

    >>> network = create_model("unetr_tiny", in_chans=1, num_classes=3, tile_size=(32, 32, 32), depth=2)
    >>> network(torch.zeros(1, 1, 32, 32, 32)).shape
    torch.Size([1, 3, 32, 32, 32])
    """
    size = size_of(name)
    _check_values(num_classes, options.get("variables"))
    if num_classes is not None:
        options["num_classes"] = num_classes
    _check_known(name, size.network, options)
    seen = _input_options(size.network, {**options, "in_channels": in_chans, "tile_size": tile_size})
    encoder = replace(size.encoder, **_chosen(EncoderOptions, options))
    after = {key.removeprefix(_DECODER): value for key, value in options.items() if key.startswith(_DECODER)}
    decoder = replace(size.decoder, **_chosen(DecoderOptions, after))
    own = {**size.options, **{key: value for key, value in options.items() if not _is_shared(key)}}
    offered = {
        "input": seen,
        "encoder": encoder,
        "decoder": decoder,
        "in_channels": in_chans,
        "tile_size": seen.tile,
        **{key: value for key, value in options.items() if _is_shared(key)},
    }
    network = MODELS[size.network](**MODELS.arguments(size.network, own, offered))
    network.pretrained_cfg = describe_network(network, size.network, seen, encoder, options)
    return network


def describe_network(
    network: nn.Module,
    name: str,
    seen: InputOptions,
    encoder: EncoderOptions,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns facts about a network, under timm's names where it has them.

    `input_size` is `(C, *S)`; `num_tokens` the number of tokens of an image, `parameters` that of weights.
    """
    described = network_facts(name).encoder
    return {
        "architecture": name,
        "input_size": (seen.in_channels, *seen.tile),
        "num_classes": options.get("num_classes"),
        **({"patch_size": seen.patch, "num_features": encoder.embed_dim} if described else {}),
        **({"depth": encoder.depth, "num_heads": encoder.num_heads} if described else {}),
        **({"num_tokens": network.input.num_tokens} if described else {}),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }


def _input_options(network: str, options: Mapping[str, Any]) -> InputOptions:
    chosen = _chosen(InputOptions, options)
    names = chosen.get("variables")
    if names is not None and not isinstance(names, VariableOptions):
        chosen["variables"] = VariableOptions(names=names)
    if network_facts(network).adaptive_only:
        chosen["adaptive_patching"] = True
    return InputOptions(**chosen)


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _chosen(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _names(kind) if name in options}


def _is_shared(option: str) -> bool:
    """Whether an option is in one of the dataclasses that networks share."""
    if option.startswith(_DECODER):
        return option.removeprefix(_DECODER) in _names(DecoderOptions)
    return option in (*_names(InputOptions), *_names(EncoderOptions))


def _check_values(num_classes: object, variables: object) -> None:
    """Raises UserError for values that are of another kind than expected."""
    if num_classes is not None:
        check("num_classes", num_classes, AT_LEAST_1)
    if isinstance(variables, str):
        raise UserError(f"variables {variables!r}: expected a list of names")


def _check_known(name: str, network: str, options: Mapping[str, Any]) -> None:
    own = Signature.of(MODELS[network])
    for option in options:
        if not (_is_shared(option) or own.takes(option)):
            shared = [*_names(InputOptions), *_names(EncoderOptions)]
            hint = did_you_mean(option, [*own.names, *shared])
            raise UserError(
                f"{name} takes no option {option!r}{hint}; it takes {', '.join(own.names)}, fields of "
                f"InputOptions and EncoderOptions: {', '.join(sorted(shared))}"
            )
