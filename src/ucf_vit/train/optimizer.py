"""AdamW, with weight decay where it belongs."""

from __future__ import annotations

import torch
from torch import nn

from ucf_vit.nn.box_positions import RowTable
from ucf_vit.nn.conditions import LabelTable
from ucf_vit.nn.embed import ClassToken, MaskToken, Positions
from ucf_vit.nn.variables import VariableTokens


def adamw(
    task: nn.Module, *, lr: float, betas: tuple[float, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices and kernels alone.

    Norms, biases, positions, learned tokens and embeddings of variables and labels are not decayed.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for module in task.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                (kept if _is_kept(module, parameter) else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, fused=True)


def _is_kept(module: nn.Module, parameter: nn.Parameter) -> bool:
    if isinstance(module, VariableTokens):
        return parameter is module.embedding
    return parameter.ndim < 2 or isinstance(
        module, ClassToken | LabelTable | MaskToken | Positions | RowTable
    )
