"""Resolves the name of a source: registered here, by an installed package, or a class in a file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from ucf_vit.core import plugins
from ucf_vit.core.errors import DataError
from ucf_vit.core.registry import did_you_mean
from ucf_vit.data.sources.source import SOURCES, Source

GROUP = "ucf_vit.sources"


def source_of(name: str) -> Callable[..., Source]:
    """Returns the constructor for `name`: "basic_ct", an entry point's name, or "path/to/file.py:Class".

    Raises DataError with the known names where there is none.
    """
    if plugins.in_file(name):
        return plugins.load(name, "data source", DataError)
    if name in SOURCES:
        return SOURCES[name]
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        return installed[name].load()
    known = [*SOURCES, *sorted(installed)]
    raise DataError(
        f"no data source named {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}, "
        "or path/to/file.py:ClassName"
    )
