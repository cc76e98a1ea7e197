"""Results of an evaluation, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ucf_vit.training.evaluation_files import Evaluation


@dataclass(frozen=True)
class Results:
    """An evaluation, remarks on it that are no definitions, and the files that were written."""

    evaluation: Evaluation
    notes: tuple[str, ...]
    files: tuple[Path, ...]
