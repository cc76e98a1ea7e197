"""Options of a second transformer after the encoder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ucf_vit.options.encoder import EncoderOptions
from ucf_vit.options.rules import check_values, number, whole


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """Width and depth of the decoder of MAE and DiffusionVIT; the defaults are those of MAE (He et al. 2022).

    Attributes:
        embed_dim: width of a token, in features.
        depth: number of blocks.
        num_heads: attention heads of each block; divides `embed_dim`.
        mlp_ratio: hidden width of the MLP over `embed_dim`.

    Raises UserError for values out of range.
    """

    embed_dim: int = whole(512, ge=1)
    depth: int = whole(8, ge=1, le=10_000)
    num_heads: int = whole(16, ge=1)
    mlp_ratio: float = number(4.0, gt=0)

    def __post_init__(self) -> None:
        check_values(self)

    def after(self, encoder: EncoderOptions) -> EncoderOptions:
        """Returns the options of the decoder's blocks; those not given here are the encoder's."""
        return replace(encoder, **asdict(self), drop_path=0.0)
