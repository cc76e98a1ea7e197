"""Baseline of segmentation: an interval of intensities per class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.metrics.voxels import Voxels
from ucf_vit.tasks import dice

FINE_BINS = 4096
"""Number of bins of a sample's histogram, over its own range."""
BINS = 512
"""Number of bins over the range of all samples; every interval of whole bins is tried."""


@dataclass(frozen=True)
class IntensityInterval:
    """Interval of intensities: voxels with `low <= image[channel] < high` are assigned to the class."""

    channel: int
    low: float
    high: float


@dataclass(frozen=True)
class ThresholdBaseline:
    """Best interval of each class except the background, by class number."""

    intervals: dict[int, IntensityInterval]

    def totals(self, samples: Iterable[Sample]) -> Tensor:
        """Returns the totals `[K - 1, 5]` of the Dice of whole items, see `ucf_vit.tasks.dice`.

        Raises DataError for a sample without a label per voxel.
        """
        totals = dice.empty_totals(len(self.intervals) + 1)
        for sample in samples:
            label, voxels = _label(sample), []
            for number, interval in self.intervals.items():
                values, labelled = sample.image[interval.channel], label == number
                predicted = (values >= interval.low) & (values < interval.high) & (label >= 0)
                voxels.append([(predicted & labelled).sum(), predicted.sum(), labelled.sum()])
            totals += dice.totals_of(Voxels(*torch.tensor(np.array(voxels).T[:, None])))
        return totals

    def dice(self, samples: Iterable[Sample]) -> dict[str, float]:
        """Returns `dice`, and `dice_1` and so on of each class, see `dice.DEFINITION`."""
        return dice.means(self.totals(samples))


@dataclass(frozen=True)
class _Histogram:
    """Numbers of voxels of a sample by channel, class and bin `[C, K, FINE_BINS]`, from `low` to `high`."""

    counts: NDArray[np.float64]
    low: float
    high: float

    def rebinned(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the voxels in wider bins, `[C, K, BINS]`; a fine bin is assigned by its middle."""
        middles = self.low + (np.arange(FINE_BINS) + 0.5) / FINE_BINS * (self.high - self.low)
        bins = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, BINS - 1)
        wide = np.zeros((*self.counts.shape[:2], BINS))
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        wide[..., bins[starts]] = np.add.reduceat(self.counts, starts, axis=-1)
        return wide


def fit_threshold(samples: Iterable[Sample], num_classes: int) -> ThresholdBaseline:
    """Returns, for each class except 0, the interval with the highest mean Dice on the training samples.

    Images may have any range; the best of several channels is taken. It makes one pass over the samples and
    stores a histogram of each. Raises DataError without samples, or for one without a label per voxel.
    """
    histograms = [_histogram(sample, num_classes) for sample in samples]
    if not histograms:
        raise DataError(
            "no training sample to fit the intensity threshold on; check the split of the data set"
        )
    low, high = min(h.low for h in histograms), max(h.high for h in histograms)
    edges = np.linspace(low, high, BINS + 1)
    counts = np.stack([histogram.rebinned(edges) for histogram in histograms])
    edges[0], edges[-1] = -np.inf, np.inf
    return ThresholdBaseline(
        {number: _best_interval(counts, number, edges) for number in range(1, num_classes)}
    )


def _best_interval(counts: NDArray[np.float64], number: int, edges: NDArray[np.float64]) -> IntensityInterval:
    """Returns the interval with the highest mean Dice of a class over items; counts `[N, C, K, BINS]`.

    An item without the class has Dice 0 for intervals that contain any of its voxels; for others it does not
    count.
    """
    labelled = counts[:, 0, number].sum(axis=1)
    if not labelled.any():
        return IntensityInterval(0, np.inf, np.inf)
    score = np.zeros((counts.shape[1], BINS + 1, BINS + 1))
    items = np.full_like(score, np.count_nonzero(labelled))
    for item, voxels in zip(counts, labelled, strict=True):
        inside = _per_interval(item.sum(axis=1))
        if voxels:
            score += 2 * _per_interval(item[:, number]) / (inside + voxels)
        else:
            items += inside > 0
    channel, start, end = np.unravel_index((score / items).argmax(), score.shape)
    return IntensityInterval(int(channel), float(edges[start]), float(edges[end]))


def _per_interval(voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the numbers of voxels from bin i up to bin j, `[C, BINS + 1, BINS + 1]`; 0 for j <= i."""
    below = np.pad(np.cumsum(voxels, axis=-1), ((0, 0), (1, 0)))
    return np.maximum(below[:, None, :] - below[:, :, None], 0)


def _histogram(sample: Sample, num_classes: int) -> _Histogram:
    label = _label(sample).ravel()
    counts = label >= 0
    low, high = float(sample.image.min()), float(sample.image.max())
    scale = FINE_BINS / (high - low) if high > low else 0.0
    channels = []
    for channel in sample.image:
        bins = np.minimum(((channel.ravel() - low) * scale).astype(np.int64), FINE_BINS - 1)
        flat = np.bincount((label * FINE_BINS + bins)[counts], minlength=num_classes * FINE_BINS)
        channels.append(flat.reshape(num_classes, FINE_BINS))
    return _Histogram(np.stack(channels).astype(np.float64), low, high)


def _label(sample: Sample) -> NDArray[np.int64]:
    if sample.label is None or sample.label.shape != sample.image.shape[1:]:
        raise DataError(f"{sample.file}: the intensity threshold needs a label for every voxel")
    return sample.label
