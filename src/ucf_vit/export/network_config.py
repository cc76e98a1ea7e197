"""A network as JSON values, from which it can be built again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.models import MODELS
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions, VariableOptions
from ucf_vit.training.build import condition_names, network_arguments

KINDS = {"input": InputOptions, "encoder": EncoderOptions, "decoder": DecoderOptions}
"""Arguments of networks that are dataclasses."""


def network_config(run: Run) -> dict[str, Any]:
    """Returns name and arguments of the network of a run, as `HubModel` takes them.

    Raises UserError for a network of a user's own file, which others do not have.
    """
    if run.network not in MODELS:
        raise UserError(f"model.name {run.network}: a class in a file, which others would not have")
    arguments = network_arguments(run, condition_names(run))
    config: dict[str, Any] = {"network": run.network, "options": {}}
    for name, value in arguments.items():
        if name in KINDS:
            config[name] = asdict(value)
        else:
            config["options"][name] = value
    return config


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """Returns the network that `network_config` described. Raises UserError for values of another kind."""
    if unknown := config.keys() - {"network", "options", *KINDS}:
        raise UserError(f"config.json: unknown keys {', '.join(sorted(unknown))}; expected a network's")
    name = str(config.get("network", ""))
    if name not in MODELS:
        raise UserError(f"config.json: network {name!r} is not one of {', '.join(MODELS)}")
    try:
        chosen = {key: _options(key, config[key]) for key in KINDS if config.get(key)}
        return MODELS[name](**{**config.get("options", {}), **chosen})
    except (UserError, TypeError, ValueError, AttributeError) as cause:
        raise UserError(f"config.json: not that of a network {name} ({cause})") from None


def _options(name: str, values: Mapping[str, Any]) -> Any:
    values = dict(values)
    if values.get("variables") is not None:
        values["variables"] = VariableOptions(**values["variables"])
    return KINDS[name](**values)
