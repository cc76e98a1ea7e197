"""The data sets of a run, written for fast reading of its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ucf_vit.config import Run
from ucf_vit.data.prepare.plan import Origin, Settings
from ucf_vit.data.scratch import Scratch
from ucf_vit.train.datasets import remote_files, source_options


def origins(run: Run, destination: Path, settings: Settings) -> Iterator[tuple[str, Origin, Path, Settings]]:
    """Name, source, directory below `destination` and settings of each data set that `run` names.

    All items are prepared with all that the config says about reading them, not only those of its ranges.
    """
    data = run.data
    settings = replace(settings, tile=tuple(run.spatial_tile))
    if data.on_error == "skip":
        settings = replace(settings, on_error="skip", max_errors=data.max_errors)
    scratch = Scratch()
    given = {"scratch": scratch, "files": remote_files(run, scratch)}
    for name, root in data.dict_root_dirs.items():
        options = source_options(run, name) | given
        origin = Origin.of(data.dataset, root, data.dict_in_variables[name], options)
        yield name, origin, destination / name, settings
