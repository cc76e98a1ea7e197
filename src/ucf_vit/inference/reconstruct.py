"""Reconstructions of masked autoencoders, in stored values on the grid on which an item is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.undo import values_to_original
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.values.normalization import Affine
from ucf_vit.inference.inputs import Case
from ucf_vit.patching.sliding_window.blend import MEMORY
from ucf_vit.tasks.masked import MaskedAutoencoding

Values = NDArray[np.float32]


def reconstruct(
    task: MaskedAutoencoding,
    image: Tensor,
    sample: Sample,
    case: Case,
    directory: Path,
    advance: Callable[[int], None],
) -> Mapping[str, Values]:
    """Returns the reconstruction `[*S]` of each variable of `image` `[1, C, *T]`, in the stored values.

    Masked tokens are predicted, the others are those of the image; windows are blended. The normalization is
    undone, except that clipped values stay at the limits. Voxels that were cropped away are 0. Raises
    DataError for predictions that are not finite.
    """
    values = np.empty(image.shape[1:], np.float32)
    parts = task.predict_parts(image, sample.variables, memory=MEMORY, directory=directory)
    for region, part in parts:
        values[(slice(None), *region)] = part[0].float().cpu().numpy()
        advance(prod(part.shape[2:]))
    if not np.isfinite(values).all():
        raise DataError("the reconstruction is not finite; try --set trainer.data_type=float32")
    _undo(values, TileReader(case.dataset, case.dataset.channels).affine(case.number))
    if case.grid is not None:
        values = values_to_original(values, case.grid)
    return dict(zip(sample.variables, values, strict=True))


def _undo(values: Values, affine: Affine) -> None:
    for channel, shift, divisor in zip(values, *affine, strict=True):
        channel *= np.float32(divisor if np.isfinite(divisor) else 0)
        channel += np.float32(shift)
