"""Options of weights that come from a network with other channels or fewer axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ucf_vit.options.rules import check_values, choice

ChannelRule = Literal["mean", "repeat"]
Inflation = Literal["mean", "centre"]


@dataclass(frozen=True, kw_only=True)
class PretrainedOptions:
    """How the projection of patches is fitted to a network that it was not trained for.

    Attributes:
        pretrained_channels: names of the channels that the weights were trained with, in their order; empty:
            not known. A channel of the network with one of these names takes its weights.
        pretrained_channel_rule: weights of all other channels, if there are not as many: "mean", the mean
            over those of the file, or "repeat", those of the file in turn. Both are divided by the ratio of
            the numbers of channels, so that outputs keep their size.
        pretrained_inflation: weights of volumes from those of images: "mean" spreads them over the new axis,
            divided by its length; "centre" puts them in its middle, with zeros around.

    Raises UserError for another rule.
    """

    pretrained_channels: Sequence[str] = ()
    pretrained_channel_rule: ChannelRule = choice("mean", ChannelRule)
    pretrained_inflation: Inflation = choice("mean", Inflation)

    def __post_init__(self) -> None:
        check_values(self)
