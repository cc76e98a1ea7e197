"""Attention to tokens that ranks have between them, and what one process makes of the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from rank_group import world_of
from torch import Tensor

from ucf_vit.parallel.encoder.ring import ring_attention
from ucf_vit.parallel.encoder.token_group import TokenGroup
from ucf_vit.parallel.encoder.ulysses import heads_to_tokens, tokens_to_heads
from ucf_vit.parallel.ranks.mesh import MeshLayout

RANKS = 4
WIDTH = 3


@dataclass(frozen=True)
class Sizes:
    """Returns the mask of keys; in sample i, 1 + i tokens are valid, and the first is not."""

    tokens: int
    heads: int = 4
    batch: int = 2
    masked: bool = False

    def valid(self) -> Tensor | None:
        if not self.masked:
            return None
        valid = torch.zeros(self.batch, self.tokens, dtype=torch.bool)
        for sample in range(self.batch):
            valid[sample, -1 - sample :] = True
        return valid

    def draw(self) -> tuple[list[Tensor], Tensor]:
        """q, k and v of all tokens, and the gradient of what comes out."""
        generator = torch.Generator().manual_seed(0)
        shape = (4, self.batch, self.heads, self.tokens, WIDTH)
        *inputs, grad = torch.randn(shape, generator=generator, dtype=torch.float64)
        return inputs, grad


def alone(sizes: Sizes) -> list[Tensor]:
    """The result and the gradients of q, k and v."""
    inputs, grad = sizes.draw()
    leaves = [x.clone().requires_grad_() for x in inputs]
    valid = sizes.valid()
    mask = None if valid is None else valid[:, None, None, :]
    result = F.scaled_dot_product_attention(*leaves, attn_mask=mask)
    result.backward(grad)
    return [result.detach(), *[gradient(leaf) for leaf in leaves]]


def on_ranks(sizes: Sizes, ring: bool, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """The same of this rank's run of tokens."""
    tokens = tokens_of()
    inputs, grad = sizes.draw()
    leaves = [own(x, tokens, 2).to(dtype).requires_grad_() for x in inputs]
    valid, total = sizes.valid(), sizes.tokens
    if ring:
        result = ring_attention(*leaves, valid, tokens, total)
    else:
        q, k, v = (tokens_to_heads(x, tokens, total) for x in leaves)
        mask = None if valid is None else valid[:, None, None, :]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        result = heads_to_tokens(attended, tokens, sizes.heads)
    result.backward(own(grad, tokens, 2).to(dtype))
    return [result.detach(), *[gradient(leaf) for leaf in leaves]]


def region(sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A weight and a condition act on each rank's tokens, all of which the loss then sees.

    The gradients of the weight are this rank's: their mean over ranks is to be that of one process.
    """
    tokens = tokens_of()
    x, condition, weight, grad = drawn_for_region(sizes)
    mixed = tokens.split(x) * weight + tokens.replicate(condition)[:, None]
    whole = tokens.join(mixed.tanh(), sizes.tokens)
    whole.backward(grad)
    return whole.detach(), gradient(x), gradient(condition), gradient(weight)


def region_alone(sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, condition, weight, grad = drawn_for_region(sizes)
    whole = (x * weight + condition[:, None]).tanh()
    whole.backward(grad)
    return whole.detach(), gradient(x), gradient(condition), gradient(weight)


def drawn_for_region(sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (sizes.batch, sizes.tokens, WIDTH)
    x, grad = torch.randn((2, *shape), generator=generator, dtype=torch.float64)
    condition, weight = torch.randn((2, sizes.batch, WIDTH), generator=generator, dtype=torch.float64)
    leaves = (x.clone(), condition.clone(), weight[:1].clone())
    return (*[leaf.requires_grad_() for leaf in leaves], grad)  # type: ignore[return-value]


def tokens_of() -> TokenGroup:
    group = world_of(MeshLayout(seq=RANKS)).tokens
    assert group is not None
    return group


def own(x: Tensor, tokens: TokenGroup, axis: int) -> Tensor:
    return x.tensor_split(tokens.size, dim=axis)[tokens.rank].clone()


def gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad
