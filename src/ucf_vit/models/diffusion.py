"""Diffusion transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ucf_vit.models.inputs import input_for
from ucf_vit.nn.embedding.conditions import Conditions
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.networks import BUILT_IN

Conditioning = Literal["adaln", "add"]


class DiffusionVIT(nn.Module):
    """Predicts the noise in, or the clean pixels of, noisy images or volumes at a given noise step.

    A plain transformer over patches, as in DiT (Peebles and Xie 2023) but on pixels; the defaults have the
    width and depth of DiT-B. How noise is mixed in and what is predicted is decided in `ucf_vit.diffusion`.

    Args:
        input: channels, tile and patches.
        encoder: width, depth and blocks.
        decoder: a second, usually narrower transformer after the encoder.
        linear_decoder: one Linear per token instead of the decoder, as in DiT.
        conditioning: how step and labels come in: "adaln" modulates norms and gates of every block
            (adaLN-Zero), "add" adds them to the tokens once.
        condition_counts: number of values of each label of a sample.
    """

    facts = BUILT_IN["diffusion"]

    def __init__(
        self,
        input: InputOptions,
        encoder: EncoderOptions = EncoderOptions(),
        decoder: DecoderOptions = DecoderOptions(),
        *,
        linear_decoder: bool = False,
        conditioning: Conditioning = "adaln",
        condition_counts: Sequence[int] = (),
    ) -> None:
        super().__init__()
        dim = encoder.embed_dim
        self.in_channels = input.in_channels
        self.input = input_for(input)
        self.embed = self.input.embed(encoder)
        self.positions = self.input.positions(dim, input.positions("sincos"))
        self.conditions = Conditions(dim, condition_counts)
        self.drop = nn.Dropout(encoder.drop_rate)
        self.modulated = conditioning == "adaln"
        condition_dim = dim if self.modulated else None
        self.encoder = Encoder(encoder, condition_dim)
        self.decoder: DiffusionDecoder | None = None
        if not linear_decoder:
            self.decoder = DiffusionDecoder(dim, decoder.after(encoder), condition_dim)
        self.head = Head(dim if linear_decoder else decoder.embed_dim, self.input.patch_dim)
        init_weights(self)

    def forward(
        self,
        image: Tensor | Patches,
        time: Tensor,
        labels: Tensor | None = None,
        variables: Sequence[str] | None = None,
    ) -> Tensor:
        """Noisy images `[B, C, *S]`, or their patches, at the steps `time` `[B]`, to `[B, L, patch_dim]`.

        `labels` `[B, K]` int64 are -1 (None: all) where not given. `variables` are the names of the channels,
        for a network that knows them by name (None: all variables); only these are predicted, in their order.
        Raises UserError for another shape than the network was built for, or an unknown name.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(image, numbers)
        condition = self.conditions(time, labels)
        tokens = self.positions(self.embed(values, numbers), boxes=boxes)
        if not self.modulated:
            tokens = tokens + condition[:, None]
        modulation = condition if self.modulated else None
        tokens, _ = self.encoder(self.drop(tokens), valid=valid, condition=modulation)
        if self.decoder is not None:
            tokens = self.decoder(tokens, valid, modulation)
        return self.head(tokens, self.input.outputs(numbers, values.device))

    def patches(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Returns the patches of an image `[B, C, *S]` in the layout of a prediction, `[B, L, patch_dim]`."""
        return self.input.split(image, self.input.numbers(variables)).values

    def image(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Inverse of `patches`; with adaptive patching, tokens are pasted where `patches` lie."""
        return self.input.join(tokens, patches)


class DiffusionDecoder(nn.Module):
    """Second transformer over all tokens, of another width."""

    def __init__(self, in_dim: int, options: EncoderOptions, condition_dim: int | None) -> None:
        super().__init__()
        self.embed = nn.Linear(in_dim, options.embed_dim)
        self.encoder = Encoder(options, condition_dim)

    def forward(self, tokens: Tensor, valid: Tensor | None, condition: Tensor | None) -> Tensor:
        """Tokens `[B, L, D]` to `[B, L, dim]`; `valid` and `condition` as in `Encoder`."""
        tokens, _ = self.encoder(self.embed(tokens), valid=valid, condition=condition)
        return tokens
