"""Vision Transformer for classification."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ucf_vit.models.inputs import input_for, named_channels
from ucf_vit.models.registry import MODELS
from ucf_vit.nn.embed import ClassToken
from ucf_vit.nn.encoder import Encoder
from ucf_vit.nn.heads import Head
from ucf_vit.nn.init import init_weights
from ucf_vit.nn.variable_tokens import Kind, Partial
from ucf_vit.patching.tree.patches import Patches


@MODELS.register("vit")
class VIT(nn.Module):
    """Vision Transformer (Dosovitskiy et al. 2021) for images and volumes; the defaults are ViT-B/16.

    Args:
        in_channels: channels C of an image.
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side p of a patch in pixels; divides every side of the tile.
        num_classes: number of logits K.
        embed_dim, depth, num_heads, mlp_ratio: width, number of blocks, heads, hidden width / width.
        drop_rate: dropout of tokens, attention weights and hidden units while training.
        drop_path: stochastic depth of the last block; rises linearly from 0.
        class_token: classify from a class token; without one, from the mean of all tokens.
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
        num_classes: int,
        patch_size: int = 16,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path: float = 0.0,
        class_token: bool = True,
        pos_embed: str = "learned",
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
        self.embed = self.input.embed(
            embed_dim, num_heads, aggregation, aggregation_group, aggregation_partial
        )
        self.positions = self.input.positions(embed_dim, pos_embed)
        self.class_token = ClassToken(embed_dim) if class_token else None
        self.drop = nn.Dropout(drop_rate)
        self.encoder = Encoder(embed_dim, depth, num_heads, mlp_ratio, drop_rate, drop_path, attention)
        self.head = Head(embed_dim, num_classes)
        init_weights(self)

    def forward(self, image: Tensor | Patches, variables: Sequence[str] | None = None) -> Tensor:
        """Image `[B, C, *S]`, or patches, to logits `[B, K]`.

        With `use_varemb`, `variables` are the names of its channels (None: `default_vars`), else they do not
        matter. Raises UserError for another shape than the model's, or a name that it does not know.
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
    """Mean of the valid ones of tokens `[B, L, D]`."""
    if valid is None:
        return tokens.mean(dim=1)
    weight = (valid / valid.sum(dim=1, keepdim=True)).to(tokens.dtype)
    return (weight[:, None] @ tokens)[:, 0]
