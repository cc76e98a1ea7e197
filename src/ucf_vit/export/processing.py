"""Processing of an image before and after the network, as plain data."""

from __future__ import annotations

from typing import Any

from ucf_vit.config import Run
from ucf_vit.core.errors import UserError
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.inference.classes import class_names
from ucf_vit.patching.sliding_window.windows import window_stride
from ucf_vit.patching.tiles import tile_axis
from ucf_vit.training.inputs.source_options import source_options
from ucf_vit.training.saved_runs.open_trained import Trained


def preprocessing(trained: Trained[Any]) -> dict[str, Any]:
    """Returns channels, grid, values and tiles of the images that a run was trained on.

    Raises UserError where its data sets differ, or need more than this.
    """
    run, grid = trained.run, trained.record.grid or GridOptions()
    how = normalization_of(trained)
    for reason, true in {
        "data.crop: threshold": grid.crop == "threshold",
        "data with missing values (NaN)": how.missing,
        "data with NaN that is resampled": how.nan is not None and grid.spacing is not None,
    }.items():
        if true:
            raise UserError(f"{reason}: has no preprocessing as data; export the program only, --to torch")
    return {
        "channels": run.in_channels,
        "channel_names": list(run.input.default_vars),
        "orientation": grid.orientation,
        "spacing": None if grid.spacing is None else list(grid.spacing),
        "crop": grid.crop,
        "normalization": _values(how),
        "window": list(run.spatial_tile),
        "stride": [_stride(trained, side) for side in run.spatial_tile],
        "resize": _resize(run),
    }


def postprocessing(trained: Trained[Any]) -> dict[str, Any]:
    """Returns the names of the classes by number, the type of labels, and what is done to each class."""
    names, chosen = class_names(trained), trained.postprocessing
    return {
        "classes": names,
        "dtype": "uint8" if len(names) <= 256 else "int16",
        "operations": {} if chosen is None else chosen.operations.dump(),
    }


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


def _stride(trained: Trained[Any], side: int) -> int:
    """Returns the distance between tiles of a side; classifiers cover images in another way."""
    overlap = trained.run.trainer.sliding_window_overlap
    if trained.run.network_facts.output == "class logits":
        return tile_axis(side, side, overlap, use_all=True).stride
    return window_stride(side, overlap)


def _resize(run: Run) -> list[int] | None:
    """Returns the height and width to which pictures are brought; None: they stay as they are."""
    sizes = [source_options(run, name).get("resize") for name in run.datasets]
    if any(one != sizes[0] for one in sizes):
        raise UserError(f"its data sets are resized to different sides, {sizes}; export the program only")
    return None if sizes[0] is None else [int(side) for side in sizes[0]]


def _values(how: Normalization) -> dict[str, Any]:
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
