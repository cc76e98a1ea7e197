"""Vision Transformer for classification."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ucf_vit.models.inputs import input_for
from ucf_vit.nn.embedding.embed import ClassToken
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.registries.networks import BUILT_IN


class VIT(nn.Module):
    """Vision Transformer (Dosovitskiy et al. 2021) for images and volumes; the defaults are ViT-B/16.

    Args:
        input: channels, tile and patches.
        encoder: width, depth and blocks.
        num_classes: number of logits K.
        class_token: classify from a class token; if false, from the mean of all tokens.
    """

    facts = BUILT_IN["vit"]

    def __init__(
        self,
        input: InputOptions,
        encoder: EncoderOptions = EncoderOptions(),
        *,
        num_classes: int,
        class_token: bool = True,
    ) -> None:
        super().__init__()
        dim = encoder.embed_dim
        self.input = input_for(input)
        self.embed = self.input.embed(encoder)
        self.positions = self.input.positions(dim, input.positions("learned"))
        self.class_token = ClassToken(dim) if class_token else None
        self.drop = nn.Dropout(encoder.drop_rate)
        self.encoder = Encoder(encoder)
        self.head = Head(dim, num_classes)
        init_weights(self)

    def forward(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Image `[B, C, *S]`, or its patches, to logits `[B, K]`.

        `variables` are the names of the channels, for a network that knows them by name (None: all
        variables).
        Raises UserError for another shape than the network was built for, or an unknown name.
        """
        numbers = self.input.numbers(variables)
        values, boxes, valid = self.input.split(image, numbers)
        tokens = self.positions(self.embed(values, numbers), boxes=boxes)
        if self.class_token is not None:
            tokens = self.class_token(tokens)
        first = 1 if self.class_token is not None else None
        tokens, _ = self.encoder(self.drop(tokens), first=first, valid=valid)
        return self.head(_mean(tokens, valid if first is None else None))


def _mean(tokens: Tensor, valid: Tensor | None) -> Tensor:
    """Returns the mean `[B, D]` of the valid ones of tokens `[B, L, D]`."""
    if valid is None:
        return tokens.mean(dim=1)
    weight = (valid / valid.sum(dim=1, keepdim=True)).to(tokens.dtype)
    return (weight[:, None] @ tokens)[:, 0]
