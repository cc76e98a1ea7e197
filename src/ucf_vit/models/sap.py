"""SAP: segmentation with a transformer and a decoder on adaptive patches."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.models.tree_input import TreeInput
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.token_decoder import TokenDecoder
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.networks import BUILT_IN


class SAP(nn.Module):
    """Symmetric adaptive patching: segments adaptive patches instead of images (Zhang et al. 2024).

    The encoder mixes patches; the decoder turns each token into a mask of the size of a patch. Labels are cut
    along the same trees, and masks are pasted back, so that large leaves save work in the decoder too.

    Args:
        input: channels, tile and patches; `adaptive_patching` must be true.
        encoder: width, depth and blocks.
        num_classes: number of classes K, background included.
        feature_size: channels of the decoder at the resolution of patches; doubles with each stage below.
        skip_connection: join the pixels of a patch at the end of its decoder.
        linear_decoder: one Linear predicts the pixels of a token; no convolutions.
    """

    facts = BUILT_IN["sap"]

    def __init__(
        self,
        input: InputOptions,
        encoder: EncoderOptions = EncoderOptions(),
        *,
        num_classes: int,
        feature_size: int = 16,
        skip_connection: bool = True,
        linear_decoder: bool = False,
    ) -> None:
        super().__init__()
        if not input.adaptive_patching:
            raise UserError("SAP works on adaptive patches: set adaptive_patching to true")
        dim = encoder.embed_dim
        self.input = TreeInput(input)
        self.embed = self.input.embed(encoder)
        self.positions = self.input.positions(dim, input.positions("learned"))
        self.drop = nn.Dropout(encoder.drop_rate)
        self.encoder = Encoder(encoder)
        patch = self.input.patch_size
        self.decoder: TokenDecoder | Head
        if linear_decoder:
            self.decoder = Head(dim, num_classes * math.prod(patch))
        else:
            self.decoder = TokenDecoder(
                self.input.channels, dim, feature_size, patch, num_classes, skip_connection
            )
        init_weights(self)

    def forward(self, patches: Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Patches to logits `[B, T * L, K, *P]`.

        `variables` are the names of the channels, for a network that knows them by name (None: all
        variables).
        Raises UserError for patches of another shape or tree, or an unknown name.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(patches, numbers)
        tokens = self.drop(self.positions(self.embed(values, numbers), boxes=boxes))
        tokens, _ = self.encoder(tokens, valid=valid)
        if isinstance(self.decoder, Head):
            return self.decoder(tokens).unflatten(2, (-1, *self.input.patch_size))
        pixels = patches.values
        if not self.input.separate_channels:
            pixels = self.input.all_channels(pixels, numbers, axis=2)
        return self.decoder(tokens, pixels)
