"""Classes and probabilities of one image, without the logits of the whole in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.undo import classes_on_original, label_to_original, values_to_original
from ucf_vit.patching.sliding_window.blend import MEMORY, largest_class
from ucf_vit.tasks.segmentation import Segmentation


class Segmented(NamedTuple):
    """Class numbers `[*S]`, uint8 or int16, and probabilities `[K, *S]` float16 where they were requested."""

    labels: NDArray[Any]
    probabilities: NDArray[np.float16] | None


def segment(
    task: Segmentation,
    image: Tensor,
    variables: Sequence[str],
    grid: Regrid | None,
    directory: Path,
    *,
    probabilities: bool = False,
    memory: float = MEMORY,
    advance: Callable[[int], None] = lambda voxels: None,
) -> Segmented:
    """Returns the classes of an image `[1, C, *T]` on the grid `[*S]` on which it is stored.

    `grid` is how that grid was changed (None: it was not). Where the image was resampled, logits of all
    classes wait in a temporary file in `directory`, and are interpolated class by class as in an evaluation.
    At most `memory` bytes of incomplete sums are in memory. `advance` is called with the number of voxels of
    each part. Raises DataError for predictions that are not finite.
    """
    resamples = grid is not None and grid.resamples
    labels = np.empty(image.shape[2:], np.uint8)
    logits: NDArray[np.float32] | None = None
    shares: NDArray[np.float16] | None = None
    for region, values in task.predict_parts(image, variables, memory=memory, directory=directory):
        part = values[0].float()
        if not bool(part.sum().isfinite()):
            raise DataError("the prediction is not finite; try --set trainer.data_type=float32")
        if len(part) > 256 and labels.dtype != np.int16:
            labels = np.empty(image.shape[2:], np.int16)
        if resamples:
            logits = _temporary(np.float32, part, image, directory) if logits is None else logits
            logits[(slice(None), *region)] = part.cpu().numpy()
        else:
            labels[region] = largest_class(part[None])[0].cpu().numpy()
        if probabilities:
            shares = _temporary(np.float16, part, image, directory) if shares is None else shares
            shares[(slice(None), *region)] = part.softmax(0).cpu().numpy()
        advance(prod(part.shape[1:]))
    if grid is None:
        return Segmented(labels, shares)
    if logits is not None:
        labels = classes_on_original(torch.from_numpy(logits), grid).numpy().astype(labels.dtype)
    else:
        labels = label_to_original(labels, grid)
    return Segmented(labels, None if shares is None else _original_shares(shares, grid, directory))


def _original_shares(shares: NDArray[np.float16], grid: Regrid, directory: Path) -> NDArray[np.float16]:
    """Returns probabilities `[K, *T]` on the stored grid; what was cropped away is background."""
    stored: NDArray[np.float16] = _mapped(np.float16, (len(shares), *grid.stored.shape), directory)
    for number, one in enumerate(shares):
        stored[number] = values_to_original(one[None], grid, float(number == 0))[0]
    return stored


def _temporary(dtype: Any, part: Tensor, image: Tensor, directory: Path) -> NDArray[Any]:
    return _mapped(dtype, (len(part), *image.shape[2:]), directory)


def _mapped(dtype: Any, shape: tuple[int, ...], directory: Path) -> NDArray[Any]:
    """Returns an array of zeros in a temporary file, which is removed with it, also when the process dies."""
    with tempfile.TemporaryFile(dir=directory) as file:
        return np.memmap(file, dtype, "w+", shape=shape)
