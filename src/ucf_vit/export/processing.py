"""Processing of an image before and after the network, as plain data."""

from __future__ import annotations

from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.inference.predictors import class_names
from ucf_vit.training.saved_runs.open_trained import Trained


def preprocessing(trained: Trained[Any]) -> dict[str, Any]:
    """Returns channels, grid, values and windows of the images that a run was trained on.

    Raises UserError where its data sets differ, or have values that need more than arithmetic.
    """
    run, grid = trained.run, trained.record.grid or GridOptions()
    return {
        "channels": run.in_channels,
        "channel_names": list(run.input.default_vars),
        "orientation": grid.orientation,
        "spacing": None if grid.spacing is None else list(grid.spacing),
        "crop": grid.crop,
        "normalization": _values(normalization_of(trained)),
        "window": list(run.spatial_tile),
        "overlap": run.trainer.sliding_window_overlap,
    }


def postprocessing(trained: Trained[Any]) -> dict[str, Any]:
    """Returns the names of the classes by number, and the type of labels."""
    names = class_names(trained)
    return {"classes": names, "dtype": "uint8" if len(names) <= 256 else "int16"}


def normalization_of(trained: Trained[Any]) -> Normalization:
    """Returns the normalization that all data sets of a run have in common. Raises UserError without one."""
    known = list(trained.record.normalized.values())
    if not known or any(one != known[0] for one in known):
        names = ", ".join(trained.record.normalized) or "none that is known"
        raise UserError(
            f"{trained.directory}: values of its data sets ({names}) are not normalised in one way, so that "
            "one folder cannot serve for all; export the program only (--to onnx with a file, or --to torch)"
        )
    return known[0].how


def _values(how: Normalization) -> dict[str, Any]:
    if how.missing:
        raise UserError(
            "data with missing values (NaN) has no preprocessing as data; export the program only"
        )
    fixed = {
        "window": ([how.low], [how.high - how.low]),
        "mean_std": (list(how.mean), list(how.std)),
        "none": ([0.0], [1.0]),
    }.get(how.kind)
    values: dict[str, Any] = {"kind": "fixed" if fixed else how.kind, "clip": how.clip, "nan": how.nan}
    if fixed:
        values |= {"shift": fixed[0], "divisor": fixed[1]}
    if how.kind == "percentiles":
        values |= {"low": how.low, "high": how.high}
    return values
