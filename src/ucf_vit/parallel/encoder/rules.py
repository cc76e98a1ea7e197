"""Tensor parallelism: one rule per block type, none per model.

Within each `Encoder` attention and Mlp are split over heads and hidden units (Shoeybi et al. 2019,
Megatron-LM) and everything between them over tokens (Korthikanti et al. 2022).
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
from ucf_vit.parallel.encoder.sequence import TokenGroup
from ucf_vit.parallel.encoder.styles import (
    ColumnLinear,
    Region,
    RowLinear,
    SplitAttention,
    SplitDropout,
    SplitDropPath,
    SplitEncoder,
    SplitMlp,
    SplitModulation,
)

WHOLE = Replicate()


@dataclass(frozen=True)
class Style:
    """What a small module becomes (None: it stays), and how its parameters lie over tensor ranks."""

    twin: type[nn.Module] | None = None
    weight: Placement = WHOLE
    bias: Placement = WHOLE


COLUMN = Style(ColumnLinear, weight=Shard(0), bias=Shard(0))
ROW = Style(RowLinear, weight=Shard(1))
PER_TOKEN = Style()
STEERING = Style(SplitModulation)


@dataclass(frozen=True)
class Rule:
    """What a block type becomes (None: it stays), and the styles of the parts that it owns, by name."""

    twin: type[nn.Module] | None = None
    parts: Mapping[str, Style] = field(default_factory=dict)


RULES: dict[type[nn.Module], Rule] = {
    Encoder: Rule(SplitEncoder, {"norm": PER_TOKEN}),
    Block: Rule(None, {"norm1": PER_TOKEN, "norm2": PER_TOKEN}),
    ModulatedBlock: Rule(None, {"modulation": STEERING}),
    ModulatedNorm: Rule(None, {"modulation": STEERING}),
    Attention: Rule(SplitAttention, {"q": COLUMN, "k": COLUMN, "v": COLUMN, "proj": ROW}),
    Mlp: Rule(SplitMlp, {"fc1": COLUMN, "fc2": ROW}),
    DropPath: Rule(SplitDropPath),
    nn.Dropout: Rule(SplitDropout),
}


def split_encoders(model: nn.Module, mesh: DeviceMesh, tokens: TokenGroup | None = None) -> None:
    """Split every Encoder of `model` over the tensor ranks of `mesh` (one axis), in place.

    With `tokens`, those of each sample are split over the ranks of that group before.

    Parameters become DTensors; those of a model on `meta` stay there. Raises UserError for a parameter
    inside an Encoder that no rule covers.
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
        for which, parameter in list(part.named_parameters(recurse=False)):
            placement = style.weight if which == "weight" else style.bias
            placed = distribute_tensor(parameter.detach(), region.mesh, [placement], src_data_rank=None)
            part.register_parameter(which, nn.Parameter(placed, requires_grad=parameter.requires_grad))
        _become(part, style.twin, region)
    _become(module, rule.twin, region)


def _become(module: nn.Module, twin: type[nn.Module] | None, region: Region) -> None:
    if twin is not None:
        module.__class__ = twin
        module.region = region


def _check_complete(name: str, encoder: nn.Module) -> None:
    for parameter_name, parameter in encoder.named_parameters():
        if not isinstance(parameter, DTensor):
            owner = encoder.get_submodule(parameter_name.rpartition(".")[0])
            raise UserError(
                f"no rule says how tensor ranks share {name}.{parameter_name} (of a {type(owner).__name__}): "
                "add one to ucf_vit.parallel.encoder.rules.RULES, or set parallelism.tensor_par_size=1"
            )
