"""What is done to every block, in whatever way the model is spread: recomputation and compilation."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn
from torch.utils.checkpoint import checkpoint

from ucf_vit.nn.block import Block

Recompute = Literal["none", "block", "selective"]


def recompute(model: nn.Module, how: Recompute) -> None:
    """Compute activations again in the backward pass in place of keeping them (Chen et al. 2016).

    "block": all of every block; only what passes between blocks is kept. "selective": attention alone.
    """
    for block in _blocks(model) if how != "none" else ():
        module = block if how == "block" else block.attn
        again = partial(checkpoint, module.forward, use_reentrant=False)
        module.forward = again  # type: ignore[method-assign]


def compile_blocks(model: nn.Module) -> None:
    """Compile every block by itself (torch.compile), in place: equal blocks share one compilation."""
    for block in _blocks(model):
        block.compile()


def _blocks(model: nn.Module) -> list[Block]:
    return [module for module in model.modules() if isinstance(module, Block)]
