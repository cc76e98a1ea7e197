"""Predictions brought back to the grid on which their item is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.data.geometry.labels import label_back
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.resample import backward_matrices
from ucf_vit.data.geometry.weights import apply


def label_to_original(label: NDArray[Any], grid: Regrid, background: int = 0) -> NDArray[Any]:
    """Returns a label `[*T]` on the used grid as `[*S]` on the stored one, in the same type.

    `background` fills what was cropped away.
    """
    return _placed(label_back(label, grid) if grid.resamples else label, grid, background)


def values_to_original(values: NDArray[Any], grid: Regrid, outside: float = 0.0) -> NDArray[Any]:
    """Returns values `[K, *T]`, such as probabilities, as `[K, *S]` float32 on the stored grid.

    They are interpolated linearly, so that those of all classes keep their sum. `outside` fills what was
    cropped away.
    """
    interpolated = apply(backward_matrices(grid), torch.from_numpy(np.ascontiguousarray(values, np.float32)))
    return np.stack([_placed(one.numpy(), grid, outside) for one in interpolated])


def classes_on_original(scores: Tensor, grid: Regrid, background: int = 0) -> Tensor:
    """Returns the class `[*S]` int64 with the highest score on the stored grid, of scores `[K, *T]`.

    Scores (logits or probabilities) are interpolated linearly, one class after the other, where they are;
    the result is on the CPU. `background` fills what was cropped away.
    """
    matrices = backward_matrices(grid)
    best = apply(matrices, scores[0].float())
    winner = torch.zeros(best.shape, dtype=torch.int64, device=best.device)
    for number, one in enumerate(scores[1:], start=1):
        score = apply(matrices, one.float())
        larger = score > best
        winner[larger] = number
        torch.maximum(best, score, out=best)
    return torch.from_numpy(_placed(winner.cpu().numpy(), grid, background))


def _placed(box: NDArray[Any], grid: Regrid, fill: float) -> NDArray[Any]:
    """Returns an array `[*S]` with the values of the box at their place, and `fill` elsewhere."""
    turned = [grid.stored.shape[axis] for axis in grid.axes]
    if list(box.shape) != turned:
        whole = np.full(turned, fill, box.dtype)
        whole[tuple(slice(*part) for part in grid.box)] = box
        box = whole
    return np.ascontiguousarray(grid.turn_back(box))
