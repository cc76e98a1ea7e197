"""The grid on which the items of a run are used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ucf_vit.config import Run
from ucf_vit.core.errors import DataError
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.read_item import reading_item
from ucf_vit.data.sources import Item, Source
from ucf_vit.training.data_record import Record

log = logging.getLogger(__name__)
_DIGITS = 6
"""Significant digits of the median: headers are rounded."""


def grid_options(run: Run) -> GridOptions:
    """Returns the options of a run whose spacing is not "median"."""
    data = run.data
    spacing = None if isinstance(data.spacing, str) else tuple(data.spacing)
    return GridOptions(data.orientation, spacing, data.crop)


def with_spacing(run: Run, record: Record | None, training: Callable[[Run], Sequence[Dataset]]) -> Run:
    """Returns the run with the spacing that "median" stands for, of `record` or else of the training items.

    `training` returns the training data sets of a run. Raises DataError where a header has no spacing.
    """
    if run.data.spacing != "median":
        return run
    spacing = None if record is None or record.grid is None else record.grid.spacing
    if spacing is None:
        spacing = median_spacing(training(_changed(run, spacing="as_stored", crop="none", small_images=None)))
        log.info("data.spacing: the median of the training items is %s mm", " x ".join(map(str, spacing)))
    return _changed(run, spacing=list(spacing))


def median_spacing(datasets: Sequence[Dataset]) -> tuple[float, ...]:
    """Returns the median spacing of all items, in mm along each axis. Raises DataError."""
    spacings = [
        geometry.spacing
        for one in datasets
        for geometry in map_in_threads(partial(_geometry, one.source), one.items)
    ]
    if not spacings:
        raise DataError("data.spacing median: no training item to take it from; give a list in mm")
    if len({len(one) for one in spacings}) > 1:
        raise DataError("data.spacing median: some data sets have 2 axes, others 3; give a list in mm")
    return tuple(float(f"{value:.{_DIGITS}g}") for value in np.median(spacings, axis=0))


def _geometry(source: Source, item: Item) -> Geometry:
    with reading_item(item):
        geometry = source.geometry(item)
        if geometry is None:
            raise DataError("its source knows no spacing, so there is no median; set data.spacing: as_stored")
    return geometry


def _changed(run: Run, **values: object) -> Run:
    return run.model_copy(update={"data": run.data.model_copy(update=values)})
