"""Items of what a model is asked to predict: a path, a URL or an array."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from ucf_vit.api.array_source import NAME, ArraySource
from ucf_vit.core.errors import DataError, UserError, brief
from ucf_vit.core.files.paths import escaped
from ucf_vit.data.formats.pictures import read_rgb
from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.inference.inputs import Case, find_cases
from ucf_vit.training.inputs.datasets import Part, build_datasets
from ucf_vit.training.inputs.grids import grid_options
from ucf_vit.training.inputs.source_options import remote_files, source_options
from ucf_vit.training.saved_runs.open_trained import Trained

ImageLike: TypeAlias = str | Path | NDArray[Any] | Tensor
"""A path or URL, or an image `[C, *S]` or `[*S]`."""


def is_one(given: object) -> bool:
    """Returns whether `given` is one image, and not several."""
    return isinstance(given, (str, Path, Tensor)) or hasattr(given, "__array__")


def cases_of(
    trained: Trained[Any],
    given: ImageLike,
    *,
    dataset: str | None = None,
    source: str | None = None,
    spacing: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
) -> list[Case]:
    """Returns the items of a path, or the one of an array; see `Model.predict`.

    Raises UserError and DataError.
    """
    if isinstance(given, (str, Path)):
        if spacing is not None or affine is not None:
            raise UserError(f"{given}: its header has the spacing; give spacing and affine only with arrays")
        path = escaped(str(given)) if isinstance(given, Path) else given
        path = f"{dataset}={path}" if dataset is not None else path
        cases, failed = find_cases(trained.run, trained.record, [path], source)
        if failed:
            raise DataError("; ".join(one.cause for one in failed))
        return cases
    if source is not None:
        raise UserError(f"source {source!r} reads paths; leave it out with arrays")
    array = _numpy(given) if isinstance(given, Tensor) else np.asarray(given)
    name = _dataset(trained, dataset)
    image, variables = _as_read(trained, name, array)
    place = _affine(spacing, affine, image.ndim - 1)
    if place is None and grid_options(trained.run).needs_geometry:
        raise UserError(
            f"the run was trained on {grid_options(trained.run)}, so say where the voxels of the array are: "
            "spacing=(X, Y, Z) in mm, or affine="
        )
    part = Part(name, NAME, source=ArraySource(image, variables, place))
    (one,) = build_datasets(trained.run, Scratch(), "test", parts=[part], record=trained.record, labels=False)
    return [Case(one, 0, NAME)]


def _dataset(trained: Trained[Any], name: str | None) -> str:
    names = trained.run.datasets
    if name is None and len(names) > 1:
        raise UserError(f"say as which data set the array is read: dataset=, one of {', '.join(names)}")
    if name is not None and name not in names:
        raise UserError(f"dataset {name!r}: the run has {', '.join(names)}")
    return name or names[0]


def _as_read(trained: Trained[Any], name: str, array: NDArray[Any]) -> tuple[NDArray[Any], Sequence[str]]:
    """Returns `[C, *S]` with the values that the source of the run reads, and the names of the channels.

    Pictures of 8 bits are treated as their files are.
    """
    run = trained.run
    variables = tuple(run.data.dict_in_variables[name])
    spatial = len(run.spatial_tile)
    without = array.ndim == spatial or (array.ndim == spatial + 1 and array.shape[0] != 1)
    if without and len(variables) == 1:
        array = array[None]
    if array.dtype.kind not in "biuf" or array.ndim not in (spatial + 1, 4) or len(array) != len(variables):
        sides = "H, W" if spatial == 2 else "X, Y, Z"
        raise UserError(
            f"an array of {array.dtype} {list(array.shape)}: expected real numbers "
            f"[{len(variables)} ({', '.join(variables)}), {sides}]"
        )
    options = source_options(run, name)
    unit_range = (getattr(SOURCES[run.data.dataset], "file_options", None) or {}).get("unit_range")
    if unit_range and array.dtype == np.uint8 and len(array) == 3:
        picture = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(np.moveaxis(array, 0, -1))).save(picture, "BMP")
        picture.seek(0)
        limit = remote_files(run.data, Scratch()).limit
        array = np.moveaxis(read_rgb(picture, options.get("resize"), limit), -1, 0)
    return array, variables


def _affine(
    spacing: Sequence[float] | None, affine: ArrayLike | None, axes: int
) -> NDArray[np.float64] | None:
    """Returns the affine `[4, 4]` of an array whose axes point to the right, the front and up."""
    if affine is not None:
        if spacing is not None:
            raise UserError("affine= has the spacing already; leave one of the two out")
        place = _numbers(affine)
        if place.shape != (4, 4):
            raise UserError(f"affine {brief(affine)}: expected numbers [4, 4]")
        return place
    if spacing is None:
        return None
    steps = _numbers(spacing)
    if steps.shape != (axes,) or not ((steps > 0) & (steps < np.inf)).all():
        raise UserError(f"spacing {brief(spacing)}: expected {axes} positive numbers in mm")
    return np.diag([*steps, *[1.0] * (4 - axes)])


def _numbers(given: ArrayLike) -> NDArray[np.float64]:
    """Returns an array of float64; an empty one where there are other things than numbers."""
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError):
        return np.zeros(0)


def _numpy(tensor: Tensor) -> NDArray[Any]:
    """Returns a tensor as an array, bfloat16 as float32, since numpy has no such type."""
    values = tensor.detach().cpu()
    array: NDArray[Any] = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return array
