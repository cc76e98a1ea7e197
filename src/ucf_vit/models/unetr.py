"""UNETR: segmentation with a transformer encoder and a convolutional decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.models.grid_input import GridInput, grid_for, grid_of
from ucf_vit.models.inputs import input_for
from ucf_vit.models.tree_input import TreeInput
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.unetr_decoder import UnetDecoder
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.tree.paste import place_on_grid
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.patching.uniform import PatchGrid
from ucf_vit.registries.networks import BUILT_IN


class UNETR(nn.Module):
    """UNETR (Hatamizadeh et al. 2022) for images and volumes, with any depth and any patch size.

    With patch 16 and depth 12 it is the published network; other patch sizes have one decoder stage per prime
    factor of the longest side (see `ucf_vit.nn.unetr_decoder.stages_of`), fed from blocks spread evenly over
    the depth. With adaptive patching, the encoder takes `Patches`, and its tokens are placed on the grid of
    patches for the decoder.

    Args:
        input: channels, tile and patches; a side of a patch divides that of the tile.
        encoder: width, depth and blocks.
        num_classes: number of classes K, background included.
        feature_size: channels of the decoder at full resolution; doubles with each stage below.
        skip_connection: feed inner blocks and the image to the decoder; if false, only the encoder's output.
        linear_decoder: one Linear predicts the pixels of a token; no convolutions.
        token_placement: adaptive patching: "boxes": a cell of the grid gets the tokens of the leaves that lie
            there; "square": the sequence fills the grid row by row, as in the published adaptive UNETR.
    """

    facts = BUILT_IN["unetr"]

    def __init__(
        self,
        input: InputOptions,
        encoder: EncoderOptions = EncoderOptions(),
        *,
        num_classes: int,
        feature_size: int = 16,
        skip_connection: bool = True,
        linear_decoder: bool = False,
        token_placement: Literal["boxes", "square"] = "boxes",
    ) -> None:
        super().__init__()
        dim = encoder.embed_dim
        self.grid = grid_of(input)
        self.input = input_for(input)
        _check_placement(token_placement, self.input, self.grid)
        self.token_placement = token_placement
        self.embed = self.input.embed(encoder)
        self.positions = self.input.positions(dim, input.positions("learned"))
        self.drop = nn.Dropout(encoder.drop_rate)
        self.encoder = Encoder(encoder.with_norm_eps(1e-5))
        self.decoder: UnetDecoder | Head
        self.taps: list[int] = []
        if linear_decoder:
            self.decoder = Head(dim, num_classes * math.prod(input.patch))
        else:
            self.decoder = UnetDecoder(
                input.in_channels, dim, feature_size, input.patch, num_classes, skip_connection
            )
            self.taps = self.decoder.taps(encoder.depth)
        init_weights(self)

    def forward(
        self, image: Tensor, patches: Patches | None = None, variables: Sequence[str] | None = None
    ) -> Tensor:
        """Image `[B, C, *S]`, with adaptive patching also its patches, to logits `[B, K, *S]`.

        `variables` are the names of the channels, for a network that knows them by name (None: all
        variables); absent variables add nothing where the decoder joins the image. Raises UserError for
        another shape than the network was built for, or an unknown name.
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
    """Raises UserError if `kind` is unknown, or if the tokens of an image can't fill the grid."""
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
