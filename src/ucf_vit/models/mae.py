"""Masked autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.models.inputs import input_for, named_channels
from ucf_vit.models.registry import MODELS
from ucf_vit.nn.embed import ClassToken, MaskToken
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.variable_tokens import Kind, Partial
from ucf_vit.patching.masking import num_kept
from ucf_vit.patching.tree.patches import Patches


@MODELS.register("mae")
class MAE(nn.Module):
    """Masked autoencoder (He et al. 2022) for images and volumes; the defaults are the published ViT-B/16.

    The encoder sees only the patches that are kept; a narrower transformer fills the others with a mask token
    and predicts the pixels of all patches. With `linear_decoder`, mask tokens enter the encoder in place of
    removed patches and one Linear per token predicts the pixels (SimMIM, Xie et al. 2022): after an encoder
    that has not seen the gaps, a Linear per token could say nothing about them.

    Args:
        in_channels: channels C of an image.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side p of a patch in pixels; divides every side of the tile.
        embed_dim, depth, num_heads, mlp_ratio: width, number of blocks, heads, hidden width / width.
        drop_rate: dropout of tokens, attention weights and hidden units while training.
        drop_path: stochastic depth of the encoder's last block; rises linearly from 0.
        decoder_embed_dim, decoder_depth, decoder_num_heads, mlp_ratio_decoder: the same for the decoder.
        linear_decoder: see above.
        mask_ratio: share of patches that are removed, in [0, 1).
        class_token: carry a class token, as a VIT that starts from this encoder may want.
        pos_embed: "learned" or "sincos", for both halves.
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
        mask_ratio: float = 0.75,
        class_token: bool = True,
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
        self.mask_ratio = mask_ratio
        _check_kept(self.num_tokens, mask_ratio)
        self.embed = self.input.embed(
            embed_dim, num_heads, aggregation, aggregation_group, aggregation_partial
        )
        self.mask_token = MaskToken(embed_dim) if linear_decoder else None
        self.positions = self.input.positions(embed_dim, pos_embed)
        self.class_token = ClassToken(embed_dim) if class_token else None
        self.drop = nn.Dropout(drop_rate)
        self.encoder = Encoder(embed_dim, depth, num_heads, mlp_ratio, drop_rate, drop_path, attention)
        self.decoder: MAEDecoder | Head
        if linear_decoder:
            self.decoder = Head(embed_dim, self.input.patch_dim)
        else:
            blocks = Encoder(
                decoder_embed_dim,
                decoder_depth,
                decoder_num_heads,
                mlp_ratio_decoder,
                drop_rate,
                attention=attention,
            )
            self.decoder = MAEDecoder(
                embed_dim,
                decoder_embed_dim,
                self.input.patch_dim,
                self.input.positions(decoder_embed_dim, pos_embed),
                blocks,
            )
        init_weights(self)

    @property
    def num_tokens(self) -> int:
        """Tokens of one image: L patches, or `T * L` of T trees."""
        return self.input.num_tokens

    def count_tokens(self, channels: int) -> int:
        """Tokens of an image of `channels`: with `use_varemb`, of which it may have less than the model."""
        return self.input.count(channels)

    def patches(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Image `[B, C, *S]`, or its patches, to what is to be predicted, `[B, L, patch_dim]`.

        `variables` as in `forward`.
        """
        return self.input.split(image, self.input.numbers(variables)).values

    def image(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Inverse of `patches`; with adaptive patching, tokens are put where `patches` lie."""
        return self.input.join(tokens, patches)

    def forward(
        self, image: Tensor | Patches, noise: Tensor, variables: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict removed patches: those beyond the `L * (1 - mask_ratio)` of lowest noise.

        Image `[B, C, *S]`, or patches, and noise `[B, L]` to the prediction `[B, L, patch_dim]` and the mask
        `[B, L]`, 1 for removed patches; padding is not counted. With `use_varemb`, `variables` are the names
        of the channels (None: `default_vars`), and these alone are predicted, in their order, by the rows of
        the last layer that are theirs; without, they do not matter. Raises UserError if the image has another
        shape than the model was built for, or a name is not known.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(image, numbers)
        num_tokens = values.shape[1]
        kept = self._kept(noise, valid)
        mask = torch.ones_like(noise).scatter(1, kept, 0.0)
        tokens = self._embed(values, kept, numbers)
        seen = valid
        if self.mask_token is not None:
            tokens = self.positions(self.mask_token(tokens, kept, num_tokens), boxes=boxes)
        else:
            tokens = self.positions(tokens, kept, boxes=boxes)
            seen = None if valid is None else valid.gather(1, kept)
        if self.class_token is not None:
            tokens = self.class_token(tokens)
        latent, _ = self.encoder(self.drop(tokens), valid=seen)
        outputs = self.input.outputs(numbers, values.device)
        if isinstance(self.decoder, Head):
            prediction = self.decoder(latent[:, -num_tokens:], outputs)
        else:
            prediction = self.decoder(latent, kept, num_tokens, boxes, valid, outputs)
        return prediction, mask if valid is None else mask * valid

    def _embed(self, values: Tensor, kept: Tensor, numbers: Sequence[int] | None) -> Tensor:
        """Tokens `[B, N, D]` of the patches that are kept; only these are computed where one can choose."""
        if self.input.variables is not None and self.input.token_has_one_variable:
            return _take(self.embed(values, numbers), kept)
        return self.embed(_take(values, kept), numbers)

    def _kept(self, noise: Tensor, valid: Tensor | None) -> Tensor:
        """Numbers of the tokens that stay, `[B, N]`, the same N for every sample.

        Of each sample's valid tokens the same share stays, at least one; padding fills up to N.
        """
        num_tokens = noise.shape[1]
        kept = max(1, num_kept(num_tokens, self.mask_ratio))
        if valid is None:
            return noise.argsort(dim=1, stable=True)[:, :kept]
        rank = noise.masked_fill(~valid, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        share = num_kept(valid.sum(dim=1, keepdim=True), self.mask_ratio).clamp_min(1)
        removed = valid & (rank >= share)
        return (rank + removed * num_tokens).argsort(dim=1)[:, :kept]


class MAEDecoder(nn.Module):
    """The narrow transformer that predicts all patches from the encoded ones."""

    def __init__(self, in_dim: int, dim: int, out_dim: int, positions: nn.Module, blocks: Encoder) -> None:
        super().__init__()
        self.embed = nn.Linear(in_dim, dim)
        self.mask_token = MaskToken(dim)
        self.positions = positions
        self.encoder = blocks
        self.head = Head(dim, out_dim)

    def forward(
        self,
        latent: Tensor,
        kept: Tensor,
        num_tokens: int,
        boxes: Patches | None = None,
        valid: Tensor | None = None,
        outputs: Tensor | None = None,
    ) -> Tensor:
        """Latent `[B, (1 +) N, D]` of the cells `kept` `[B, N]` to `[B, L, out_dim]`, or these `outputs`.

        A class token goes along and is dropped at the end.
        """
        tokens = self.embed(latent)
        extra, seen = tokens.split([tokens.shape[1] - kept.shape[1], kept.shape[1]], dim=1)
        tokens = self.positions(self.mask_token(seen, kept, num_tokens), boxes=boxes)
        tokens, _ = self.encoder(torch.cat([extra, tokens], dim=1), valid=valid)
        return self.head(tokens[:, -num_tokens:], outputs)


def _take(x: Tensor, kept: Tensor) -> Tensor:
    """Of `[B, L, D]` the rows `kept` `[B, N]`."""
    return x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))


def _check_kept(num_tokens: int, mask_ratio: float) -> None:
    kept = num_kept(num_tokens, mask_ratio)
    if not 0 < kept <= num_tokens:
        raise UserError(
            f"mask_ratio {mask_ratio} leaves {kept} of {num_tokens} patches; "
            "it must be in [0, 1) and leave at least one: lower it, or use smaller patches or a larger tile"
        )
