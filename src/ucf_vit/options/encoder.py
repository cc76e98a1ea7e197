"""Options of a transformer encoder and its blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ucf_vit.core.errors import UserError
from ucf_vit.core.rounding import part_of
from ucf_vit.options.divisors import undivided
from ucf_vit.options.rules import check_values, number, whole


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Width, depth and blocks of an encoder; the defaults are those of ViT-B.

    Attributes:
        embed_dim: width D of a token, in features.
        depth: number of blocks.
        num_heads: attention heads of each block; divides `embed_dim`, unless `head_dim` is given.
        head_dim: width of a head, in features; None: `embed_dim / num_heads`.
        mlp_ratio: hidden width of the MLP over `embed_dim`.
        qkv_bias: add a bias in the projections to queries, keys and values.
        drop_rate: dropout of tokens, attention weights and hidden units in training, in [0, 1).
        drop_path: stochastic depth of the last block in training, in [0, 1); rises linearly from 0.
        attention: a backend of `ucf_vit.nn.attention_backends`; "auto" lets torch choose.
        norm_eps: epsilon of the layer norms; None is that of the published network: 1e-5 in UNETR, else 1e-6.

    Raises UserError for values out of range.
    """

    embed_dim: int = whole(768, ge=1)
    depth: int = whole(12, ge=1, le=10_000)
    num_heads: int = whole(12, ge=1)
    head_dim: int | None = whole(None, ge=1)
    mlp_ratio: float = number(4.0, gt=0)
    qkv_bias: bool = True
    drop_rate: float = number(0.0, ge=0, lt=1)
    drop_path: float = number(0.0, ge=0, lt=1)
    attention: str = "auto"
    norm_eps: float | None = number(None, gt=0)

    def __post_init__(self) -> None:
        check_values(self)

    def with_norm_eps(self, default: float) -> EncoderOptions:
        """Returns the same options with `default` as `norm_eps` if it is None."""
        return replace(self, norm_eps=default) if self.norm_eps is None else self

    @property
    def head_width(self) -> int:
        """Width of a head, in features. Raises UserError if the heads do not divide the width."""
        if self.head_dim is not None:
            return self.head_dim
        if wrong := undivided(self.num_heads, self.embed_dim):
            raise UserError(wrong)
        return self.embed_dim // self.num_heads

    @property
    def hidden_width(self) -> int:
        """Hidden width of the MLP, in features, rounded down. Raises UserError if that is 0."""
        width = part_of(self.embed_dim, self.mlp_ratio)
        if width < 1:
            raise UserError(
                f"mlp_ratio {self.mlp_ratio} of embed_dim {self.embed_dim} leaves no hidden units"
            )
        return width

    @property
    def layer_norm_eps(self) -> float:
        """`norm_eps`, 1e-6 if it is None."""
        return 1e-6 if self.norm_eps is None else self.norm_eps
