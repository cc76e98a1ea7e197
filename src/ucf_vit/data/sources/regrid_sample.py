"""The arrays of a sample on another grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.arrays import ArraySpec
from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.labels import resample_label
from ucf_vit.data.geometry.regrid import Regrid
from ucf_vit.data.geometry.resample import resample_image, resample_mask


def turned(sample: Sample, grid: Regrid, specs: Mapping[str, ArraySpec]) -> Sample:
    """Returns the sample with the axes of its arrays turned: views. `specs` describe those of `extra`."""
    label = sample.label
    extra = {name: grid.turn(array) if specs[name].on_grid else array for name, array in sample.extra.items()}
    label = label if label is None or not label.ndim else grid.turn(label)
    return replace(sample, image=grid.turn(sample.image), label=label, extra=extra)


def resampled(sample: Sample, grid: Regrid, specs: Mapping[str, ArraySpec]) -> dict[str, NDArray[Any]]:
    """Returns image, label (if there is one) and the arrays of `extra` by name, from a turned box."""
    arrays: dict[str, NDArray[Any]] = {"image": resample_image(sample.image, grid)}
    if sample.label is not None:
        arrays["label"] = resample_label(sample.label, grid) if sample.label.ndim else sample.label
    for name, array in sample.extra.items():
        arrays[name] = _resampled(array, specs[name], grid)
    return arrays


def _resampled(array: NDArray[Any], spec: ArraySpec, grid: Regrid) -> NDArray[Any]:
    if not spec.on_grid:
        return array
    if spec.kind != "label":
        return resample_image(array, grid) if spec.kind == "image" else resample_mask(array, grid)
    each = [resample_label(one, grid) for one in array.reshape(-1, *grid.sides)]
    return np.stack(each).reshape(spec.shape_for(grid.shape))
