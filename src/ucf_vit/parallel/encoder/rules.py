"""Tensor parallelism by block type: one rule for each type of module, none for a model.

Within each `Encoder` attention and Mlp are split over heads and hidden units (Shoeybi et al. 2019,
Megatron-LM), and everything between them over tokens (Korthikanti et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor

from ucf_vit.core.errors import UserError
from ucf_vit.nn.attention import Attention
from ucf_vit.nn.block import Block
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.mlp import Mlp
from ucf_vit.nn.modulation import ModulatedBlock, ModulatedNorm
from ucf_vit.parallel.encoder.region import Region
from ucf_vit.parallel.encoder.split_dropout import SplitDropout, SplitDropPath
from ucf_vit.parallel.encoder.split_layers import (
    ColumnLinear,
    RowLinear,
    SplitAttention,
    SplitEncoder,
    SplitMlp,
    SplitModulation,
)
from ucf_vit.parallel.encoder.token_group import TokenGroup

REPLICATED = Replicate()


@dataclass(frozen=True)
class Style:
    """Class that replaces that of a small module (None: unchanged), and the placements of its parameters."""

    replacement: type[nn.Module] | None = None
    weight: Placement = REPLICATED
    bias: Placement = REPLICATED


COLUMN = Style(ColumnLinear, weight=Shard(0), bias=Shard(0))
ROW = Style(RowLinear, weight=Shard(1))
PER_TOKEN = Style()
MODULATION = Style(SplitModulation)


@dataclass(frozen=True)
class Rule:
    """Class that replaces a block type (None: unchanged), and the styles of its own submodules by name."""

    replacement: type[nn.Module] | None = None
    parts: Mapping[str, Style] = field(default_factory=dict)


RULES: dict[type[nn.Module], Rule] = {
    Encoder: Rule(SplitEncoder, {"norm": PER_TOKEN}),
    Block: Rule(None, {"norm1": PER_TOKEN, "norm2": PER_TOKEN}),
    ModulatedBlock: Rule(None, {"modulation": MODULATION}),
    ModulatedNorm: Rule(None, {"modulation": MODULATION}),
    Attention: Rule(SplitAttention, {"q": COLUMN, "k": COLUMN, "v": COLUMN, "proj": ROW}),
    Mlp: Rule(SplitMlp, {"fc1": COLUMN, "fc2": ROW}),
    DropPath: Rule(SplitDropPath),
    nn.Dropout: Rule(SplitDropout),
}


def split_encoders(model: nn.Module, mesh: DeviceMesh, tokens: TokenGroup | None = None) -> None:
    """Splits every Encoder of `model` over the tensor ranks of `mesh` (one axis), in place.

    With `tokens`, the ranks of that group split the tokens of each sample first. Parameters become DTensors;
    those on device `meta` stay there. Raises UserError for a parameter within an Encoder that no rule covers.
    """
    for name, encoder in list(model.named_modules()):
        if isinstance(encoder, Encoder):
            region = Region(mesh, tokens)
            for module in list(encoder.modules()):
                if (rule := RULES.get(type(module))) is not None:
                    _apply(rule, module, region)
            _check_complete(name, encoder)


def _apply(rule: Rule, module: nn.Module, region: Region) -> None:
    for name, style in rule.parts.items():
        part = module.get_submodule(name)
        for parameter_name, parameter in list(part.named_parameters(recurse=False)):
            placement = style.weight if parameter_name == "weight" else style.bias
            placed = distribute_tensor(parameter.detach(), region.mesh, [placement], src_data_rank=None)
            parameter = nn.Parameter(placed, requires_grad=parameter.requires_grad)
            part.register_parameter(parameter_name, parameter)
        _replace_class(part, style.replacement, region)
    _replace_class(module, rule.replacement, region)


def _replace_class(module: nn.Module, replacement: type[nn.Module] | None, region: Region) -> None:
    # Assigning `__class__` swaps `forward` and keeps the object: names of parameters, hooks, and references
    # from other modules stay as they are, and nothing is initialised again.
    if replacement is not None:
        module.__class__ = replacement
        module.region = region


def _check_complete(name: str, encoder: nn.Module) -> None:
    for parameter_name, parameter in encoder.named_parameters():
        if not isinstance(parameter, DTensor):
            owner = encoder.get_submodule(parameter_name.rpartition(".")[0])
            raise UserError(
                f"{name}.{parameter_name}: no rule splits a {type(owner).__name__} over tensor ranks; "
                "add one to ucf_vit.parallel.encoder.rules.RULES, or set parallelism.tensor_par_size=1"
            )
