"""Stack of transformer blocks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

from ucf_vit.nn.block import Block
from ucf_vit.nn.modulation import ModulatedBlock, ModulatedNorm
from ucf_vit.options import EncoderOptions


class Encoder(nn.Module):
    """`depth` blocks and a final norm; also the decoder of a masked autoencoder.

    Stochastic depth rises linearly from 0 in the first block to `drop_path` in the last (Huang et al. 2016).
    With `condition_dim`, blocks and norm are modulated by a condition of that width, see
    `ucf_vit.nn.modulation`.
    """

    def __init__(self, options: EncoderOptions, condition_dim: int | None = None) -> None:
        super().__init__()
        depth = options.depth
        rates = [options.drop_path * i / max(depth - 1, 1) for i in range(depth)]
        if condition_dim is None:
            self.blocks = nn.ModuleList(Block(options, rate) for rate in rates)
            self.norm = nn.LayerNorm(options.embed_dim, eps=options.layer_norm_eps)
        else:
            self.blocks = nn.ModuleList(ModulatedBlock(options, rate, condition_dim) for rate in rates)
            self.norm = ModulatedNorm(options.embed_dim, condition_dim, options.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        taps: Sequence[int] = (),
        first: int | None = None,
        valid: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the normalised output for `[B, L, D]`, and the outputs of the blocks `taps`, not
        normalised.

        With `first`, the output has only the first `first` tokens, and the last block computes no others: a
        classifier that reads only its class token pays a sixth of that block.

        With `valid` `[B, N]` bool, the last N tokens are attended to only where it is true, and those before,
        such as a class token, always. The output of tokens that are not valid has no meaning.

        `condition` `[B, D_c]` is given to an encoder with `condition_dim`, and only to such.
        """
        return self.mix(x, taps, first, valid_of_all(valid, x.shape[1]), condition)

    def mix(
        self,
        x: Tensor,
        taps: Sequence[int],
        first: int | None,
        valid: Tensor | None,
        condition: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Same as `forward`, but `valid` has an entry for each token, `[B, L]`."""
        conditions = () if condition is None else (condition,)
        outputs: dict[int, Tensor] = {}
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, first if i == last else None, valid, *conditions)
            if i in taps:
                outputs[i] = x
        return self.norm(x, *conditions), [outputs[i] for i in taps]


def valid_of_all(valid: Tensor | None, tokens: int) -> Tensor | None:
    """Extends `[B, N]` of the last N tokens to `[B, tokens]` of all; the tokens before are valid."""
    return None if valid is None else pad(valid, (tokens - valid.shape[1], 0), value=True)
