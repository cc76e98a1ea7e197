"""Recomputation of activations and compilation, block by block, for models in any layout."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.utils.checkpoint import checkpoint

from ucf_vit.nn.block import Block

Recompute = Literal["none", "block", "selective"]


def recompute(model: nn.Module, how: Recompute) -> None:
    """Makes blocks recompute activations in the backward pass instead of saving them (Chen et al. 2016).

    "block" recomputes every block and saves only the tensors between blocks. "selective" recomputes only
    attention. "none" does nothing.
    """
    for block in _blocks(model) if how != "none" else ():
        module = block if how == "block" else block.attn
        checkpointed = partial(checkpoint, module.forward, use_reentrant=False)
        module.forward = checkpointed  # type: ignore[method-assign]


def compile_blocks(model: nn.Module) -> None:
    """Compiles every block by itself (torch.compile), in place; equal blocks share one compilation."""
    for block in _blocks(model):
        block.compile()


def _blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]
