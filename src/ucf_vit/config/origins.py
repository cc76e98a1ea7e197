"""Origins of the values of a run: lines of a file, and overrides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ucf_vit.config.yaml.lines import KeyPath


@dataclass
class Origins:
    """Origins by path, such as `("model", "depth")` -> `run.yaml:12` or `override model.depth=6`."""

    name: str
    places: dict[KeyPath, str] = field(default_factory=dict)
    overrides: set[KeyPath] = field(default_factory=set)
    names: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """Keys given in a former place, such as `("input", "tile_size")` -> `("model", "tile_size")`."""

    def where(self, path: KeyPath) -> str:
        """Returns the place of the value at `path`, or of an entry in it, its container, or the file."""
        if path in self.places:
            return self.places[path]
        if path:
            inside = [place for known, place in self.places.items() if known[: len(path)] == path]
            return inside[0] if inside else self.where(path[:-1])
        return self.name

    def name_of(self, path: KeyPath) -> KeyPath:
        """Returns the path by which the user gave the value at `path`."""
        return (*self.names.get(path[:2], path[:2]), *path[2:])

    def record_override(self, path: KeyPath, text: str) -> None:
        """Records that the value at `path`, with its entries, comes from the override `text`."""
        self.places = {known: place for known, place in self.places.items() if known[: len(path)] != path}
        self.places[path] = f"override {text}"
        self.overrides.add(path)

    def from_override(self, path: KeyPath) -> bool:
        """Returns whether the value at `path`, or something that contains it, was overridden."""
        return any(path[:length] in self.overrides for length in range(1, len(path) + 1))


def dotted(path: Iterable[Any]) -> str:
    """Returns `model.depth` for `("model", "depth")`."""
    return ".".join(map(str, path))
