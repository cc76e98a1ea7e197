"""SAP: transformer and decoder on the patches of trees, for segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ucf_vit.models.inputs import TreeInput, named_channels
from ucf_vit.models.registry import MODELS
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.token_decoder import TokenDecoder
from ucf_vit.nn.variable_tokens import Kind, Partial
from ucf_vit.patching.tree.patches import Patches


@MODELS.register("sap")
class SAP(nn.Module):
    """Symmetric adaptive patching: segments the patches of trees (Zhang et al. 2024), not the image.

    The encoder lets patches look at each other; the decoder then makes of each one alone a mask of the size
    of a patch. Labels are cut along the same trees, and masks pasted back. So large leaves are cheap in the
    decoder too.

    Args:
        in_channels: channels C of an image.
        num_classes: number of classes K, background included.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        fixed_length, separate_channels: tokens per tree; one tree per channel instead of one for all.
        patch_size: side p of a patch in pixels.
        embed_dim, depth, num_heads, mlp_ratio: width, number of blocks, heads, hidden width / width.
        drop_rate: dropout of tokens, attention weights and hidden units of the encoder while training.
        drop_path: stochastic depth of the encoder's last block; rises linearly from 0.
        feature_size: channels of the decoder at the resolution of patches; doubles with each stage below.
        skip_connection: feed the pixels of a patch into the end of its decoder.
        linear_decoder: one Linear per token predicts its p**d pixels; no convolutions.
        pos_embed: "learned" or "sincos".
        use_adaptive_pos_emb: positions from centre and size of each leaf, not from the place in the sequence.
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
        fixed_length: int,
        separate_channels: bool = False,
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
        use_adaptive_pos_emb: bool = True,
        attention: str = "auto",
        use_varemb: bool = False,
        default_vars: Sequence[str] = (),
        aggregation: Kind = "cross",
        aggregation_group: int = 8,
        aggregation_partial: Partial = "linear",
    ) -> None:
        super().__init__()
        variables = named_channels(in_channels, use_varemb, default_vars)
        self.input = TreeInput(
            in_channels,
            tuple(tile_size),
            patch_size,
            fixed_length,
            separate_channels,
            use_adaptive_pos_emb,
            variables=variables,
        )
        self.embed = self.input.embed(
            embed_dim, num_heads, aggregation, aggregation_group, aggregation_partial
        )
        self.positions = self.input.positions(embed_dim, pos_embed)
        self.drop = nn.Dropout(drop_rate)
        self.encoder = Encoder(embed_dim, depth, num_heads, mlp_ratio, drop_rate, drop_path, attention)
        dims = len(self.input.pixels)
        self.decoder: TokenDecoder | Head
        if linear_decoder:
            self.decoder = Head(embed_dim, num_classes * patch_size**dims)
        else:
            self.decoder = TokenDecoder(
                dims,
                self.input.channels,
                embed_dim,
                feature_size,
                patch_size,
                num_classes,
                skip_connection,
            )
        init_weights(self)

    def forward(self, patches: Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Patches to logits `[B, T * L, K, *P]`.

        With `use_varemb`, `variables` are the names of the channels (None: `default_vars`), else they do not
        matter. Raises UserError for patches of another shape or tree, or a name that is not known.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(patches, numbers)
        tokens = self.drop(self.positions(self.embed(values, numbers), boxes=boxes))
        tokens, _ = self.encoder(tokens, valid=valid)
        if isinstance(self.decoder, Head):
            return self.decoder(tokens).unflatten(2, (-1, *self.input.pixels))
        pixels = patches.values
        if not self.input.separate_channels:
            pixels = self.input.all_channels(pixels, numbers, axis=2)
        return self.decoder(tokens, pixels)
