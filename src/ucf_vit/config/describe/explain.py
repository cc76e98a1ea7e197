"""Explains keys of a config, as text for the terminal."""

from __future__ import annotations

import textwrap

from ucf_vit.config.describe.keys import PLACE, Key, keys, sections
from ucf_vit.config.legacy_layout import MOVED, canonical
from ucf_vit.config.origins import dotted
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import ConfigError

WIDTH = 100


def explain(key: str, width: int = 0) -> str:
    """Returns description, type, unit and default of a key such as `model.depth`, or all keys of a section.

    The short name `depth` and former places such as `model.tile_size` work too. Each key of a section is one
    line, wrapped to `width` if that is not 0. Raises ConfigError for an unknown key, with a similar one.
    """
    name = dotted(canonical(tuple(key.strip().split("."))))
    if name in sections():
        return _section(name, width)
    matches = [known for path, known in keys().items() if _fits(name, path)]
    if matches:
        return "\n\n".join(_key(known) for known in matches)
    known = [*keys(), *sections(), *(f"model.{moved}" for moved in MOVED)]
    hint = did_you_mean(name, known) or f"; sections: {', '.join(sections())}"
    raise ConfigError(f"no key {key!r} in a config{hint}")


def _fits(name: str, path: str) -> bool:
    """Returns whether `name` is a key's full or short name; any word matches the name of a data set."""
    given, known = name.split("."), path.split(".")
    same = len(given) == len(known) and all(b in (a, PLACE) for a, b in zip(given, known, strict=True))
    return same or given == known[-1:] == [name]


def _key(key: Key) -> str:
    rows = {"type": key.kind, "unit": key.unit, "default": key.default}
    lines = [f"  {name + ':':9}{value}" for name, value in rows.items() if value]
    text = textwrap.fill(key.description, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join([key.name, text, *lines])


def _section(name: str, width: int) -> str:
    inside = [key for key in keys().values() if key.section == name]
    column = max(len(key.name) for key in inside)
    lines = [f"  {key.name:{column}}  {key.description}" for key in inside]
    if width:
        wrapped = [
            textwrap.wrap(line, width, subsequent_indent=" " * (column + 4), break_on_hyphens=False)
            for line in lines
        ]
        lines = [line for of_key in wrapped for line in of_key]
    return "\n".join([f"{name}: {sections()[name]}", *lines])
