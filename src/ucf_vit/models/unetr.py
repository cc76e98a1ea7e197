"""UNETR: transformer encoder, convolutional decoder, for segmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.core.registry import did_you_mean
from ucf_vit.models.inputs import GridInput, TreeInput, grid_for, input_for, named_channels
from ucf_vit.models.registry import MODELS
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.unetr_decoder import UnetDecoder
from ucf_vit.nn.variable_tokens import Kind, Partial
from ucf_vit.patching.tree.paste import place_on_grid
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.patching.uniform import PatchGrid


@MODELS.register("unetr")
class UNETR(nn.Module):
    """UNETR (Hatamizadeh et al. 2022) for images and volumes, any depth and any patch size.

    With patch 16 and depth 12 it is the published network; other patch sizes have one decoder stage per prime
    factor (see `ucf_vit.nn.unetr_decoder.stages_of`), fed from blocks spread evenly over the depth.

    Args:
        in_channels: channels C of an image.
        num_classes: number of classes K, background included.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side p of a patch in pixels; divides every side of the tile.
        embed_dim, depth, num_heads, mlp_ratio: width, number of blocks, heads, hidden width / width.
        drop_rate: dropout of tokens, attention weights and hidden units of the encoder while training.
        drop_path: stochastic depth of the encoder's last block; rises linearly from 0.
        feature_size: channels of the decoder at full resolution; doubles with each stage below.
        skip_connection: feed inner blocks and the image into the decoder; without, it sees the last alone.
        linear_decoder: one Linear per token predicts its p**d pixels; no convolutions.
        pos_embed: "learned" or "sincos".
        adaptive_patching: the encoder takes `Patches` cut along trees; its features of leaves are placed on
            the grid of patches for the decoder.
        fixed_length, separate_channels: tokens per tree; one tree per channel instead of one for all.
        use_adaptive_pos_emb: positions from centre and size of each leaf, not from the place in the sequence.
        token_placement: "boxes": a cell of the grid gets the features of the leaves that lie there; "square":
            the sequence is the grid row by row, wherever the leaves lie, as in the published adaptive UNETR.
        attention: a backend of `ucf_vit.nn.attention_backends`.
        use_varemb, default_vars: embed each variable apart and aggregate over those that a batch has (with
            separate_channels there is nothing to aggregate); the names of all, one for each channel.
        aggregation, aggregation_group, aggregation_partial: see `ucf_vit.nn.variable_tokens.VariableEmbed`.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        tile_size: Sequence[int],
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path: float = 0.0,
        feature_size: int = 16,
        skip_connection: bool = True,
        linear_decoder: bool = False,
        pos_embed: str = "learned",
        adaptive_patching: bool = False,
        fixed_length: int | None = None,
        separate_channels: bool = False,
        use_adaptive_pos_emb: bool = True,
        token_placement: Literal["boxes", "square"] = "boxes",
        attention: str = "auto",
        use_varemb: bool = False,
        default_vars: Sequence[str] = (),
        aggregation: Kind = "cross",
        aggregation_group: int = 8,
        aggregation_partial: Partial = "linear",
    ) -> None:
        super().__init__()
        variables = named_channels(in_channels, use_varemb, default_vars)
        self.grid = PatchGrid(in_channels, tuple(tile_size), patch_size)
        self.input = input_for(
            in_channels,
            tile_size,
            patch_size,
            adaptive_patching,
            fixed_length,
            separate_channels,
            use_adaptive_pos_emb,
            variables,
        )
        _check_placement(token_placement, self.input, self.grid)
        self.token_placement = token_placement
        self.embed = self.input.embed(
            embed_dim, num_heads, aggregation, aggregation_group, aggregation_partial
        )
        self.positions = self.input.positions(embed_dim, pos_embed)
        self.drop = nn.Dropout(drop_rate)
        self.encoder = Encoder(
            embed_dim, depth, num_heads, mlp_ratio, drop_rate, drop_path, attention, norm_eps=1e-5
        )
        dims = len(self.grid.shape)
        self.decoder: UnetDecoder | Head
        self.taps: list[int] = []
        if linear_decoder:
            self.decoder = Head(embed_dim, num_classes * patch_size**dims)
        else:
            self.decoder = UnetDecoder(
                dims, in_channels, embed_dim, feature_size, patch_size, num_classes, skip_connection
            )
            self.taps = self.decoder.taps(depth)
        init_weights(self)

    def forward(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Image `[B, C, *S]`, with adaptive patching also its patches, to logits `[B, K, *S]`.

        With `use_varemb`, `variables` are the names of the channels (None: `default_vars`), else they do not
        matter; where the decoder takes the image in, absent variables add nothing. Raises UserError if the
        shape of one is another than the model's, or for a name that is not known.
        """
        numbers = self.input.numbers(variables)
        grid_for(self.grid, image, numbers).check(image)
        values, boxes, valid = self.input.split(image if patches is None else patches, numbers)
        tokens = self.drop(self.positions(self.embed(values, numbers), boxes=boxes))
        tokens, inner = self.encoder(tokens, self.taps, valid=valid)
        last, *maps = (self._on_grid(x, boxes) for x in (tokens, *inner))
        if isinstance(self.decoder, Head):
            return self.grid.join(self.decoder(last.flatten(1, -2)))
        return self.decoder(self.input.all_channels(image, numbers, axis=1), maps, last)

    def _on_grid(self, tokens: Tensor, patches: Patches | None) -> Tensor:
        """Tokens `[B, L, D]` to `[B, *G, D]`."""
        if patches is not None and self.token_placement == "boxes":
            return place_on_grid(tokens, patches.leaves, self.grid.patch_size)
        if patches is not None and patches.valid is not None:
            tokens = tokens.masked_fill(~patches.valid[..., None], 0)
        return tokens.unflatten(1, self.grid.shape)


def _check_placement(kind: str, tokens: GridInput | TreeInput, grid: PatchGrid) -> None:
    """Raise UserError if there is no such placement, or if the tokens of an image can't fill the grid."""
    if kind not in ("boxes", "square"):
        hint = did_you_mean(kind, ["boxes", "square"])
        raise UserError(f"token_placement {kind!r} is unknown{hint}; use 'boxes' or 'square'")
    if kind == "boxes" or isinstance(tokens, GridInput):
        return
    cells = math.prod(grid.shape)
    if tokens.separate_channels:
        raise UserError("token_placement 'square' has no place for separate_channels; use 'boxes'")
    if tokens.length != cells:
        raise UserError(
            f"token_placement 'square' needs a token for each patch of the tile: take fixed_length {cells}, "
            f"not {tokens.length}, or token_placement 'boxes'"
        )
