"""Options of a second transformer after the encoder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ucf_vit.options.encoder import EncoderOptions


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """Width and depth of the decoder of MAE and DiffusionVIT; the defaults are those of MAE (He et al. 2022).

    Attributes:
        embed_dim: width of a token, in features.
        depth: number of blocks.
        num_heads: attention heads of each block; divides `embed_dim`.
        mlp_ratio: hidden width of the MLP over `embed_dim`.
    """

    embed_dim: int = 512
    depth: int = 8
    num_heads: int = 16
    mlp_ratio: float = 4.0

    def after(self, encoder: EncoderOptions) -> EncoderOptions:
        """Returns the options of the decoder's blocks; those not given here are the encoder's."""
        return replace(encoder, **asdict(self), drop_path=0.0)
