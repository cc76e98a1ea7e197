"""Request of predictions: for which inputs, and where they are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PredictionRequest:
    """Request of predictions for `inputs`, written to the directory `output`.

    An input is a file, a directory of files, a DICOM series, or the root of a data set, as `[NAME=]PATH`
    where NAME is one of the run's data sets. `dataset` is the source that reads all inputs (None: chosen for
    each). Predictions are averaged over the run and the runs or checkpoints in `ensemble`, with `mirror` also
    over flipped tiles. `format` is that of the labels of voxels (None: that of each image). `probabilities`
    writes those of all classes beside segmentations. `postprocess` applies the post-processing that was
    chosen for the run, if any. `overwrite` replaces predictions that exist; without it only missing ones are
    made.
    """

    inputs: tuple[str, ...]
    output: Path
    dataset: str | None = None
    ensemble: tuple[Path, ...] = ()
    mirror: bool = False
    format: str | None = None
    probabilities: bool = False
    postprocess: bool = True
    overwrite: bool = False
