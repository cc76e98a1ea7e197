"""Options of a transformer encoder and its blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    head_dim: int | None = None
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    drop_rate: float = 0.0
    drop_path: float = 0.0
    attention: str = "auto"
    norm_eps: float | None = None

    def with_norm_eps(self, default: float) -> EncoderOptions:
        """Returns the same options with `default` as `norm_eps` if it is None."""
        return replace(self, norm_eps=default) if self.norm_eps is None else self

    @property
    def layer_norm_eps(self) -> float:
        """`norm_eps`, 1e-6 if it is None."""
        return 1e-6 if self.norm_eps is None else self.norm_eps
