"""Names of the classes in label files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.text import read_text
from ucf_vit.data.reading import reading

FILE = "classes.json"
"""File in which `ucf-vit predict` names the classes."""


def class_names(given: str | None, directories: Sequence[Path]) -> dict[int, str]:
    """Returns the names of classes by number; empty where nothing names them.

    `given` are names of the classes 1, 2, ... separated by commas, or a JSON file: the list that `ucf-vit
    predict` writes, or an object of names and numbers, also under the key "labels" as in nnU-Net's
    dataset.json. Without it, the first `classes.json` in `directories`. Raises DataError for other files.
    """
    if given is None:
        files = [directory / FILE for directory in directories if (directory / FILE).is_file()]
        return _read(files[0]) if files else {}
    if given.endswith(".json"):
        return _read(Path(given))
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise UserError(f"--classes {given}: expected the names of classes 1, 2, ..., such as liver,tumour")
    return dict(enumerate(names, start=1))


def _read(path: Path) -> dict[int, str]:
    with reading(str(path), "no names of classes"):
        content: Any = json.loads(read_text(path))
        if isinstance(content, list):
            return {int(one["number"]): str(one["name"]) for one in content}
        labels = content.get("labels", content)
        pairs = [(one, other) if _is_number(other) else (other, one) for one, other in labels.items()]
        names = {int(number): str(name) for name, number in pairs}
        if len(names) < len(pairs):
            raise DataError(f"{path}: gives one number to several classes")
        return names


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdigit())
