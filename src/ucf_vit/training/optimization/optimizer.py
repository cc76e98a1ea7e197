"""AdamW optimizer and its state in checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ucf_vit.checkpoint.shards import Shards
from ucf_vit.core.errors import CheckpointError
from ucf_vit.nn.embedding.box_positions import RowTable
from ucf_vit.nn.embedding.conditions import LabelTable
from ucf_vit.nn.embedding.embed import ClassToken, MaskToken, Positions
from ucf_vit.nn.embedding.variable_tokens import VariableTokens

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""State of AdamW for a parameter."""


def adamw(
    task: nn.Module, *, lr: float, betas: tuple[float, float], weight_decay: float
) -> torch.optim.AdamW:
    """Returns AdamW (Loshchilov and Hutter 2019) with weight decay on matrices and kernels only.

    Norms, biases, positions, learned tokens and embeddings of variables and labels are not decayed.
    """
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in task.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                (decayed if _is_decayed(module, parameter) else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, fused=True)


def optimizer_moments(task: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the optimizer's state of each parameter, as `PARAMETER.KEY`: exp_avg, exp_avg_sq and step."""
    return {
        f"{name}.{key}": value
        for name, parameter in task.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_moments(task: nn.Module, optimizer: torch.optim.Optimizer, shards: Shards) -> None:
    """Loads saved `optimizer_moments` into `optimizer`; its learning rate, decay and betas do not change.

    Raises CheckpointError if the saved state of a parameter is not that of AdamW.
    """
    keys: dict[str, list[str]] = {}
    for full in shards.shapes:
        name, _, key = full.rpartition(".")
        keys.setdefault(name, []).append(key)
    names = {parameter: name for name, parameter in task.named_parameters()}
    groups = optimizer.state_dict()["param_groups"]
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for number, parameter in enumerate(ordered):
        for key in keys.get(names[parameter], ()):
            name = f"{names[parameter]}.{key}"
            shape = () if key == "step" else tuple(parameter.shape)
            if key not in MOMENTS or shards.shapes[name] != shape or not shards.types[name].is_floating_point:
                raise CheckpointError(f"{shards.file_of(name)}: {name} is not a moment of AdamW")
            value = shards.parts({name: parameter})[name] if shape else shards.read(name, (), ())
            state.setdefault(number, {})[key] = value
        if len(state.get(number, MOMENTS)) != len(MOMENTS):
            raise CheckpointError(f"{shards.file_of(name)}: not all moments of {names[parameter]} are there")
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _is_decayed(module: nn.Module, parameter: nn.Parameter) -> bool:
    if isinstance(module, VariableTokens):
        return parameter is not module.embedding
    tables = ClassToken | LabelTable | MaskToken | Positions | RowTable
    return parameter.ndim >= 2 and not isinstance(module, tables)
