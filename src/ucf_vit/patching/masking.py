"""Number of patches that a masked autoencoder sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from ucf_vit.core.rounding import part_of

if TYPE_CHECKING:
    from torch import Tensor


@overload
def num_kept(tokens: int, mask_ratio: float) -> int: ...
@overload
def num_kept(tokens: Tensor, mask_ratio: float) -> Tensor: ...
def num_kept(tokens: int | Tensor, mask_ratio: float) -> int | Tensor:
    """Returns `tokens * (1 - mask_ratio)` as a whole number, elementwise for a tensor of token counts."""
    return part_of(tokens, 1 - mask_ratio)
