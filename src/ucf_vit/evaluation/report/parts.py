"""A part of the page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ucf_vit.drawing import page


@dataclass(frozen=True)
class Part:
    """A section of the page: `content` is HTML, `files` are its figures by name; nothing if it is empty."""

    title: str
    content: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def figure(name: str, files: Mapping[str, bytes]) -> str:
    """Returns a figure, see `ucf_vit.drawing.style.figure_files`, as HTML; empty without files."""
    return page.image(name, files[f"{name}.png"], files[f"{name}_dark.png"]) if files else ""
