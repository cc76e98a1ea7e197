"""One policy for all metrics of segmentation: scores of structures that are missed, or are not there.

| in the label | in the prediction | kind             | scores                |
|--------------|-------------------|------------------|-----------------------|
| yes          | yes               | "both"           | computed              |
| yes          | no                | "missed"         | the worst             |
| no           | yes               | "only predicted" | the worst             |
| no           | no                | "neither"        | none: does not count  |

The worst is 0 for shares, 1 for errors that are shares, and the length of the image's diagonal for distances.
So no further miss or false structure improves the mean of any score, and no mean is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType
from typing import Literal

Kind = Literal["both", "missed", "only predicted", "neither"]
KINDS: tuple[Kind, ...] = ("both", "missed", "only predicted", "neither")


@dataclass(frozen=True)
class Metric:
    """A score by name, in `unit`, from `least` to `most`; `better` says which values are better.

    The `most` of a distance is the length of the image's diagonal, None where that is not known.
    """

    name: str
    title: str
    better: Literal["max", "min"] = "max"
    least: float | None = 0.0
    most: float | None = 1.0
    unit: str = ""

    @property
    def best(self) -> float | None:
        """The best possible value."""
        return self.most if self.better == "max" else self.least

    @property
    def worst(self) -> float | None:
        """The worst possible value."""
        return self.least if self.better == "max" else self.most

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest possible value."""
        return -inf if self.least is None else self.least, inf if self.most is None else self.most

    @property
    def limits_of_differences(self) -> tuple[float, float]:
        """Least and largest possible difference of two values."""
        low, high = self.limits
        return low - high, high - low


SEGMENTATION: Mapping[str, Metric] = MappingProxyType(
    {
        one.name: one
        for one in (
            Metric("dice", "Dice"),
            Metric("hd95", "HD95", "min", most=None, unit="mm"),
            Metric("nsd", "NSD"),
            Metric("volume_error", "Volume error", "min"),
            Metric("sensitivity", "Sensitivity"),
            Metric("precision", "Precision"),
            Metric("lesion_f1", "Lesion F1"),
            Metric("panoptic_quality", "PQ"),
        )
    }
)
"""Scores of a class in a case."""
RECONSTRUCTION: Mapping[str, Metric] = MappingProxyType(
    {
        one.name: one
        for one in (
            Metric("psnr", "PSNR", least=None, most=100.0, unit="dB"),
            Metric("ssim", "SSIM", least=-1.0),
        )
    }
)
"""Scores of a reconstructed image."""


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class in one case.

    `values` are scores by name, see `SEGMENTATION`; none for kind "neither". `sizes` are measurements that
    are no scores: no value of them is better than another. `diagonal` is the length of the image's diagonal
    in mm.
    """

    kind: Kind
    values: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    diagonal: float = 0.0


def kind_of(labelled: float, predicted: float) -> Kind:
    """Returns the kind of a class with that many voxels in label and prediction."""
    if labelled:
        return "both" if predicted else "missed"
    return "only predicted" if predicted else "neither"


def worst(diagonal: float) -> dict[str, float]:
    """Returns the worst scores in an image with a diagonal of that many mm."""
    return {name: diagonal if one.worst is None else one.worst for name, one in SEGMENTATION.items()}
