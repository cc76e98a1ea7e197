"""Names and colours of the classes of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ucf_vit.inference.label_files import label_classes
from ucf_vit.training.saved_runs.open_trained import Trained

CLASSES = "classes.json"


def class_names(trained: Trained[Any]) -> list[str]:
    """Returns the name of each class, a number where it has none."""
    record = trained.record
    names: Mapping[int, str] = dict(enumerate(record.class_names)) or record.label_names
    return [names.get(number, str(number)) for number in range(trained.run.num_classes)]


def classes_json(trained: Trained[Any]) -> str:
    """Returns number, name and colour of each class as JSON."""
    classes = [
        {"number": number, "name": one.name, "colour": _hex(one.colour)}
        for number, one in enumerate(label_classes(class_names(trained)))
    ]
    return json.dumps(classes, indent=1, ensure_ascii=False) + "\n"


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
