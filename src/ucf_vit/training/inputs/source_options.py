"""Options that a config gives to the source of a data set, and how its files are read."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from ucf_vit.config import Data, Run
from ucf_vit.core.signatures import Signature
from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch

log = logging.getLogger(__name__)


def source_options(run: Run, name: str, source: str | None = None) -> dict[str, Any]:
    """Returns the options that the config gives to a data set's source: `data.dict_options`, and others.

    Another `source` than `data.dataset` gets those that it takes, and those with which it reads files as the
    source of the run does. Section `dataset_options` may name options of several sources; those that the
    source of the run lacks are ignored with a warning.
    """
    given = {
        "resize": run.dataset_options.imagenet_resize.get(name),
        "fill_value": run.dataset_options.fields_fill_value.get(name),
    }
    keys = {"resize": "dataset_options.imagenet_resize", "fill_value": "dataset_options.fields_fill_value"}
    taken = Signature.of(SOURCES[run.data.dataset])
    options: dict[str, Any] = {}
    for option, value in given.items():
        if value is not None and taken.takes(option):
            options[option] = value
        elif value is not None:
            _warn_unused(f"{run.where(keys[option])}: {keys[option]}", run.data.dataset, option)
    if run.data.label_geometry != "refuse":
        options["label_geometry"] = run.data.label_geometry
    options |= run.data.dict_options.get(name, {})
    if source is None or source == run.data.dataset:
        return options
    options |= getattr(SOURCES[run.data.dataset], "file_options", None) or {}
    accepted = Signature.of(SOURCES[source])
    return {option: value for option, value in options.items() if accepted.takes(option)}


@cache
def _warn_unused(key: str, source: str, option: str) -> None:
    """Logs a warning; only once, however often data sets are built."""
    log.warning("%s is not used: data source %s takes no option %r", key, source, option)


def remote_files(data: Data, scratch: Scratch) -> Files:
    """Returns the reader of paths and URLs, with the cache and the size limit of the config."""
    cache = Cache.at(data.cache_dir, data.cache_size, scratch)
    return Files(cache, max_item_bytes=data.max_item_bytes)
