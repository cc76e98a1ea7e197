"""Images and labels brought to another shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def resize_image(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns `[C, *shape]` of `[C, *S]` by cubic splines, each voxel as large as its share of the old grid.

    Axes that shrink are smoothed first, with a deviation of half the voxels that become one, less a half.
    """
    steps = np.array(image.shape[1:]) / shape
    found = np.empty((len(image), *shape), np.float32)
    for channel, out in zip(image, found, strict=True):
        values = ndimage.gaussian_filter(np.asarray(channel, np.float32), np.maximum(0, (steps - 1) / 2))
        ndimage.zoom(values, 1 / steps, output=out, order=3, mode="nearest", grid_mode=True)
    return found


def resize_label(label: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Returns `[*shape]` of `[*S]` with the value of the nearest voxel."""
    if label.shape == shape:
        return label
    sizes = zip(label.shape, shape, strict=True)
    return label[np.ix_(*(((np.arange(new) + 0.5) * old / new).astype(int) for old, new in sizes))]
