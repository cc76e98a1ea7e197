"""Diffusion transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ucf_vit.models.inputs import input_for, named_channels
from ucf_vit.models.registry import MODELS
from ucf_vit.nn.conditions import Conditions
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.variable_tokens import Kind, Partial
from ucf_vit.patching.tree.patches import Patches

Conditioning = Literal["adaln", "add"]


@MODELS.register("diffusion")
class DiffusionVIT(nn.Module):
    """Says of noisy images, or volumes, and the step they are at what noise or clean pixels are in them.

    A plain transformer over patches, as in DiT (Peebles and Xie 2023) but on pixels; the defaults have the
    width and depth of DiT-B. How noise is mixed in and what exactly is said is not its business, see
    `ucf_vit.diffusion`.

    Args:
        in_channels: channels C of an image.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side p of a patch in pixels; divides every side of the tile.
        embed_dim, depth, num_heads, mlp_ratio: width, number of blocks, heads, hidden width / width.
        drop_rate: dropout of tokens, attention weights and hidden units while training.
        drop_path: stochastic depth of the encoder's last block; rises linearly from 0.
        decoder_embed_dim, decoder_depth, decoder_num_heads, mlp_ratio_decoder: the same for a second, usually
            narrower transformer after it.
        linear_decoder: in its place one Linear per token, as in DiT.
        conditioning: how step and labels come in: "adaln" steers every block's norms and gates (adaLN-zero),
            "add" adds them to the tokens once.
        condition_counts: values that each label of a sample can have.
        pos_embed: "learned" or "sincos".
        adaptive_patching: take `Patches` cut along trees in place of images; the patches of a tile then need
            not divide it.
        fixed_length, separate_channels: tokens per tree; one tree per channel instead of one for all.
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
        tile_size: Sequence[int],
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path: float = 0.0,
        decoder_embed_dim: int = 512,
        decoder_depth: int = 8,
        decoder_num_heads: int = 16,
        mlp_ratio_decoder: float = 4.0,
        linear_decoder: bool = False,
        conditioning: Conditioning = "adaln",
        condition_counts: Sequence[int] = (),
        pos_embed: str = "sincos",
        adaptive_patching: bool = False,
        fixed_length: int | None = None,
        separate_channels: bool = False,
        use_adaptive_pos_emb: bool = True,
        attention: str = "auto",
        use_varemb: bool = False,
        default_vars: Sequence[str] = (),
        aggregation: Kind = "cross",
        aggregation_group: int = 8,
        aggregation_partial: Partial = "linear",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        variables = named_channels(in_channels, use_varemb, default_vars)
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
        self.embed = self.input.embed(
            embed_dim, num_heads, aggregation, aggregation_group, aggregation_partial
        )
        self.positions = self.input.positions(embed_dim, pos_embed)
        self.conditions = Conditions(embed_dim, condition_counts)
        self.drop = nn.Dropout(drop_rate)
        steered = embed_dim if conditioning == "adaln" else None
        self.encoder = Encoder(
            embed_dim, depth, num_heads, mlp_ratio, drop_rate, drop_path, attention, condition_dim=steered
        )
        self.decoder: DiffusionDecoder | None = None
        if not linear_decoder:
            blocks = Encoder(
                decoder_embed_dim,
                decoder_depth,
                decoder_num_heads,
                mlp_ratio_decoder,
                drop_rate,
                attention=attention,
                condition_dim=steered,
            )
            self.decoder = DiffusionDecoder(embed_dim, decoder_embed_dim, blocks)
        self.head = Head(embed_dim if linear_decoder else decoder_embed_dim, self.input.patch_dim)
        self.steered = steered is not None
        init_weights(self)

    def forward(
        self,
        image: Tensor | Patches,
        time: Tensor,
        labels: Tensor | None = None,
        variables: Sequence[str] | None = None,
    ) -> Tensor:
        """Noisy images `[B, C, *S]`, or patches, at the steps `time` `[B]`, to `[B, L, patch_dim]`.

        `labels` `[B, K]` int64 say what the samples are, -1 (None: all): not told. With `use_varemb`,
        `variables` are the names of the channels (None: `default_vars`), and what is said is about these
        alone, in their order; without, they do not matter. Raises UserError for another shape than the
        model's, or a name that it does not know.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(image, numbers)
        condition = self.conditions(time, labels)
        tokens = self.positions(self.embed(values, numbers), boxes=boxes)
        if not self.steered:
            tokens = tokens + condition[:, None]
        steering = condition if self.steered else None
        tokens, _ = self.encoder(self.drop(tokens), valid=valid, condition=steering)
        if self.decoder is not None:
            tokens = self.decoder(tokens, valid, steering)
        return self.head(tokens, self.input.outputs(numbers, values.device))

    def patches(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Image `[B, C, *S]`, or its patches, as what the model says, `[B, L, patch_dim]`."""
        return self.input.split(image, self.input.numbers(variables)).values

    def image(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Inverse of `patches`; with adaptive patching, tokens are put where `patches` lie."""
        return self.input.join(tokens, patches)


class DiffusionDecoder(nn.Module):
    """A second transformer over all tokens, of another width."""

    def __init__(self, in_dim: int, dim: int, blocks: Encoder) -> None:
        super().__init__()
        self.embed = nn.Linear(in_dim, dim)
        self.encoder = blocks

    def forward(self, tokens: Tensor, valid: Tensor | None, condition: Tensor | None) -> Tensor:
        """Tokens `[B, L, D]` to `[B, L, dim]`; `valid` and `condition` as in `Encoder`."""
        tokens, _ = self.encoder(self.embed(tokens), valid=valid, condition=condition)
        return tokens
