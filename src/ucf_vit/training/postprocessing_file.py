"""The post-processing of a run's predictions, kept beside its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import CheckpointError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.tasks.postprocessing import Postprocessing

FILE = "postprocessing.json"


@dataclass(frozen=True)
class Chosen:
    """Post-processing that was chosen for the weights at `step`; `figures` are the Dice that chose it."""

    operations: Postprocessing
    step: int
    figures: Mapping[str, Any] = field(default_factory=dict)

    def in_words(self, names: Mapping[int, str]) -> str:
        """Returns a text such as `class 1 (liver): holes filled (chosen on validation items at step 800)`.

        `names` are those of the classes by number, as far as they have any.
        """
        titles = {number: f" ({name})" for number, name in names.items()}
        classes = self.operations.classes.items()
        texts = [f"class {number}{titles.get(number, '')}: {options}" for number, options in classes]
        return f"{'; '.join(texts) or 'nothing'} (chosen on validation items at step {self.step:,})"

    def write(self, run: Path) -> Path:
        """Writes the file in the directory of a run."""
        values = {"step": self.step, "classes": self.operations.dump(), "chosen": dict(self.figures)}
        write_atomic(run / FILE, json.dumps(values, indent=1) + "\n")
        return run / FILE


def read_chosen(run: Path) -> Chosen | None:
    """Returns the post-processing in the directory of a run; None where nothing was chosen.

    Raises CheckpointError for a damaged file.
    """
    path = run / FILE
    try:
        values = json.loads(path.read_text())
        operations = Postprocessing.load(values["classes"])
        return Chosen(operations, int(values["step"]), values.get("chosen", {}))
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, LookupError, TypeError, ValueError) as cause:
        raise CheckpointError(
            f"{path}: no readable post-processing ({cause}); choose it again with ucf-vit evaluate "
            "RUN --choose-postprocessing, or remove the file"
        ) from None
