"""Masked autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.models.inputs import input_for
from ucf_vit.nn.embedding.embed import ClassToken, MaskToken
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions
from ucf_vit.patching.masking import num_kept
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.networks import BUILT_IN


class MAE(nn.Module):
    """Masked autoencoder (He et al. 2022) for images and volumes; the defaults are the published ViT-B/16.

    The encoder sees only the patches that are not masked; the decoder fills the gaps with a mask token and
    predicts the pixels of all patches. With `linear_decoder`, mask tokens enter the encoder in place of
    masked patches, and one Linear per token predicts the pixels (SimMIM, Xie et al. 2022): after an encoder
    that has not seen the gaps, a Linear per token could not predict them.

    Args:
        input: channels, tile and patches; both transformers have positions of the same kind.
        encoder: width, depth and blocks.
        decoder: a second, usually narrower transformer.
        mask_ratio: fraction of patches that are masked, in [0, 1).
        class_token: carry a class token, for a VIT that starts from this encoder.
        linear_decoder: see above; `decoder` has no effect then.
    """

    facts = BUILT_IN["mae"]

    def __init__(
        self,
        input: InputOptions,
        encoder: EncoderOptions = EncoderOptions(),
        decoder: DecoderOptions = DecoderOptions(),
        *,
        mask_ratio: float = 0.75,
        class_token: bool = True,
        linear_decoder: bool = False,
    ) -> None:
        super().__init__()
        dim, positions = encoder.embed_dim, input.positions("sincos")
        self.input = input_for(input)
        self.mask_ratio = mask_ratio
        _check_kept(self.num_tokens, mask_ratio)
        if input.stem != "patch":
            raise UserError(
                f"stem {input.stem} sees all patches, also masked ones; take stem patch in an MAE"
            )
        self.embed = self.input.embed(encoder)
        self.mask_token = MaskToken(dim) if linear_decoder else None
        self.positions = self.input.positions(dim, positions)
        self.class_token = ClassToken(dim) if class_token else None
        self.drop = nn.Dropout(encoder.drop_rate)
        self.encoder = Encoder(encoder)
        self.decoder: MAEDecoder | Head
        if linear_decoder:
            self.decoder = Head(dim, self.input.patch_dim)
        else:
            self.decoder = MAEDecoder(
                dim,
                self.input.patch_dim,
                self.input.positions(decoder.embed_dim, positions),
                decoder.after(encoder),
            )
        init_weights(self)

    @property
    def num_tokens(self) -> int:
        """Tokens of one image: L patches, or `T * L` of T trees."""
        return self.input.num_tokens

    def count_tokens(self, channels: int) -> int:
        """Returns the tokens of an image with `channels`, which may be fewer than the network has."""
        return self.input.count(channels)

    def patches(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Returns the target of the prediction for an image `[B, C, *S]`, or its patches: `[B, L,
        patch_dim]`.

        `variables` as in `forward`.
        """
        return self.input.split(image, self.input.numbers(variables)).values

    def image(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Inverse of `patches`; with adaptive patching, tokens are pasted where `patches` lie."""
        return self.input.join(tokens, patches)

    def forward(
        self, image: Tensor | Patches, noise: Tensor, variables: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predicts masked patches: all but the `L * (1 - mask_ratio)` of lowest noise.

        Args:
            image: `[B, C, *S]`, or its patches.
            noise: `[B, L]`.
            variables: names of the channels, for a network that knows them by name (None: all variables);
                only these are predicted, in their order.

        Returns the prediction `[B, L, patch_dim]` and the mask `[B, L]`, 1 for masked patches and 0 for kept
        ones and padding. Raises UserError for another shape than the network was built for, or an unknown
        name.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(image, numbers)
        num_tokens = values.shape[1]
        kept = self._kept(noise, valid)
        mask = torch.ones_like(noise).scatter(1, kept, 0.0)
        tokens = self._embed(values, kept, numbers)
        valid_seen = valid
        if self.mask_token is not None:
            tokens = self.positions(self.mask_token(tokens, kept, num_tokens), boxes=boxes)
        else:
            tokens = self.positions(tokens, kept, boxes=boxes)
            valid_seen = None if valid is None else valid.gather(1, kept)
        if self.class_token is not None:
            tokens = self.class_token(tokens)
        latent, _ = self.encoder(self.drop(tokens), valid=valid_seen)
        outputs = self.input.outputs(numbers, values.device)
        if isinstance(self.decoder, Head):
            prediction = self.decoder(latent[:, -num_tokens:], outputs)
        else:
            prediction = self.decoder(latent, kept, num_tokens, boxes, valid, outputs)
        return prediction, mask if valid is None else mask * valid

    def _embed(self, values: Tensor, kept: Tensor, numbers: Sequence[int] | None) -> Tensor:
        """Embeds the patches that are kept, `[B, N, D]`."""
        if self.input.variables is not None and self.input.token_has_one_variable:
            return _take(self.embed(values, numbers), kept)
        return self.embed(_take(values, kept), numbers)

    def _kept(self, noise: Tensor, valid: Tensor | None) -> Tensor:
        """Returns the indices `[B, N]` of the tokens that are kept, with the same N for every sample.

        Of the valid tokens of each sample the same fraction is kept, at least one; padding fills up to N.
        """
        num_tokens = noise.shape[1]
        kept = max(1, num_kept(num_tokens, self.mask_ratio))
        if valid is None:
            return noise.argsort(dim=1, stable=True)[:, :kept]
        rank = noise.masked_fill(~valid, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
        quota = num_kept(valid.sum(dim=1, keepdim=True), self.mask_ratio).clamp_min(1)
        removed = valid & (rank >= quota)
        return (rank + removed * num_tokens).argsort(dim=1)[:, :kept]


class MAEDecoder(nn.Module):
    """Transformer that predicts all patches from the encoded ones."""

    def __init__(self, in_dim: int, out_dim: int, positions: nn.Module, options: EncoderOptions) -> None:
        super().__init__()
        dim = options.embed_dim
        self.embed = nn.Linear(in_dim, dim)
        self.mask_token = MaskToken(dim)
        self.positions = positions
        self.encoder = Encoder(options)
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
        """Latent `[B, (1 +) N, D]` of the patches `kept` `[B, N]` to `[B, L, out_dim]`, or only `outputs` of
        it.

        A class token passes through the blocks and is dropped at the end.
        """
        tokens = self.embed(latent)
        extra, visible = tokens.split([tokens.shape[1] - kept.shape[1], kept.shape[1]], dim=1)
        tokens = self.positions(self.mask_token(visible, kept, num_tokens), boxes=boxes)
        tokens, _ = self.encoder(torch.cat([extra, tokens], dim=1), valid=valid)
        return self.head(tokens[:, -num_tokens:], outputs)


def _take(x: Tensor, kept: Tensor) -> Tensor:
    """Returns the rows `kept` `[B, N]` of `[B, L, D]`."""
    return x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))


def _check_kept(num_tokens: int, mask_ratio: float) -> None:
    kept = num_kept(num_tokens, mask_ratio)
    if not 0 < kept <= num_tokens:
        raise UserError(
            f"mask_ratio {mask_ratio} leaves {kept} of {num_tokens} patches; "
            "it must be in [0, 1) and leave at least one: lower it, or use smaller patches or a larger tile"
        )
