"""Data sets of a run to be converted for fast reading of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ucf_vit.config import Run
from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.inputs.datasets import resolved
from ucf_vit.training.inputs.grids import grid_options
from ucf_vit.training.inputs.source_options import remote_files, source_options


def origins(
    run: Run, destination: Path, settings: StorageOptions
) -> Iterator[tuple[str, str, Origin, Path, StorageOptions]]:
    """Yields config key, name, source, directory below `destination` and settings of each data set of `run`.

    These are the data sets in data.dict_root_dirs, data.validation and data.test. All of their items are
    converted, not only those in the ranges of the config, with all options of the config for reading them.
    """
    scratch = Scratch()
    run = resolved(run, scratch)
    data = run.data
    settings = replace(settings, tile=tuple(run.spatial_tile))
    if data.on_error == "skip":
        settings = replace(settings, on_error="skip", max_errors=data.max_errors)
    given = {"scratch": scratch, "files": remote_files(run.data, scratch), "tile_dims": len(run.spatial_tile)}
    for key, end in (("dict_root_dirs", ""), ("validation", "_validation"), ("test", "_test")):
        for name, root in getattr(data, key).items():
            if end and name + end in run.datasets:
                raise run.error(
                    f"data.{key}", f"would be written over data set {name + end}; rename that", root
                )
            options = source_options(run, name)
            origin = Origin.of(
                data.dataset, root, data.dict_in_variables[name], options, given, grid_options(run)
            )
            yield key, name, origin, destination / (name + end), settings
