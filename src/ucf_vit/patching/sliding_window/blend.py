"""Prediction of an image in overlapping windows, cell by cell, without the logits of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ucf_vit.patching.sliding_window.cell_sums import CellSums
from ucf_vit.patching.sliding_window.windows import Region, Windows, gaussian_weights, pad_to_window

MEMORY = 3 * 2**28
"""Bytes of sums that stay in memory unless another limit is given."""


def predict_cells(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    window: Sequence[int],
    *,
    overlap: float = 0.5,
    at_once: int = 4,
    memory: float = MEMORY,
    directory: Path | None = None,
) -> Iterator[tuple[Region, Tensor]]:
    """Yields each part of an image once, with its predictions `[B, K, *P]` float32.

    `predict` maps windows `[N, C, *W]` of `image` `[B, C, *S]` to `[N, K, *W]`; `at_once` windows go through
    it together. Overlapping windows are blended with Gaussian weights: the predictions are those of MONAI's
    `sliding_window_inference` with mode "gaussian". Sides shorter than a window are padded with 0 at their
    end. At most `memory` bytes of sums are in memory at a time, the rest is in a temporary file in
    `directory`; neither grows with the length of the first axis.
    """
    windows = _Blend(predict, image, window, overlap, at_once)
    with CellSums(memory, directory) as sums:
        for region, total in windows.totals(sums):
            yield region, total[:, :-1].div_(total[:, -1:])


def largest_class(scores: Tensor) -> Tensor:
    """Returns the class `[B, *S]` with the largest score of `[B, K, *S]`, uint8, or int16 for
    more than 256 classes.

    The first of equal ones. Class by class in long rows, which takes a fraction of the time of `argmax`.
    """
    best = scores[:, 0].clone()
    winner = torch.zeros_like(best, dtype=torch.uint8 if scores.shape[1] <= 256 else torch.int16)
    for number in range(1, scores.shape[1]):
        winner.masked_fill_(scores[:, number] > best, number)
        torch.maximum(best, scores[:, number], out=best)
    return winner


class _Blend:
    """Windows over an image, and the sums of their predictions."""

    def __init__(
        self,
        predict: Callable[[Tensor], Tensor],
        image: Tensor,
        window: Sequence[int],
        overlap: float,
        at_once: int,
    ) -> None:
        self.predict, self.space = predict, image.shape[2:]
        self.at_once = at_once
        self.image = pad_to_window(image, window)
        self.windows = Windows(self.image.shape[2:], window, overlap)
        self.weights = gaussian_weights(window, image.device)

    def totals(self, sums: CellSums) -> Iterator[tuple[Region, Tensor]]:
        """Yields the sums `[B, K + 1, *P]` of each part of the image, once they are complete."""
        for number, prediction in self._predictions():
            yield from self._completed(number, prediction, sums)
            del prediction  # the next windows are predicted before it would be replaced

    def _completed(self, number: int, prediction: Tensor, sums: CellSums) -> Iterator[tuple[Region, Tensor]]:
        """Adds a prediction `[B, K, *W]`; yields the sums of the cells whose last window it is."""
        windows = self.windows
        for cell in windows.cells(number):
            region = windows.cell_region(cell)
            part = _within(region, windows.region(number))
            total = _add(sums.take(cell), prediction[(..., *part)], self.weights[part])
            following = windows.next_window(cell, number)
            if following is not None:
                sums.put(cell, total, following)
                continue
            kept = tuple(slice(p.start, min(p.stop, n)) for p, n in zip(region, self.space, strict=True))
            if all(p.start < p.stop for p in kept):
                yield kept, total[(..., *_within(kept, region))]

    def _predictions(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the predictions `[B, K, *W]` of each window."""
        step = max(self.at_once // len(self.image), 1)
        for first in range(0, len(self.windows), step):
            numbers = range(first, min(first + step, len(self.windows)))
            tiles = torch.cat([self.image[(..., *self.windows.region(number))] for number in numbers])
            with torch.no_grad():
                parts = [self.predict(part).to(self.image.device) for part in tiles.split(self.at_once)]
            predictions = parts[0] if len(parts) == 1 else torch.cat(parts)
            yield from zip(numbers, predictions.split(len(self.image)), strict=True)
            del parts, predictions


def _add(sums: Tensor | None, prediction: Tensor, weights: Tensor) -> Tensor:
    """Returns `sums` with the weighted predictions `[B, K, *P]` and the weights `[*P]` added."""
    if sums is None:
        batch, channels, *space = prediction.shape
        sums = torch.empty(batch, channels + 1, *space, device=prediction.device)
        torch.mul(prediction, weights, out=sums[:, :-1])
        sums[:, -1] = weights
        return sums
    sums[:, :-1].addcmul_(prediction.to(sums.dtype), weights)
    sums[:, -1] += weights
    return sums


def _within(inner: Region, outer: Region) -> Region:
    """Returns the place of `inner` within `outer`."""
    return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
