"""Writes what exported folders contain beside the network: programs of `shipped`, and JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ucf_vit.core.files.atomic_files import write_atomic

SHIPPED = Path(__file__).with_name("shipped")


def ship(names: Iterable[str], folder: Path, **renamed: str) -> None:
    """Copies programs of `shipped` into a folder; `run="segment"` copies segment.py as run.py."""
    for shown, name in {**{name: name for name in names}, **renamed}.items():
        write_atomic(folder / f"{shown}.py", (SHIPPED / f"{name}.py").read_text(encoding="utf-8"))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes values to a file, one a line."""
    write_atomic(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
