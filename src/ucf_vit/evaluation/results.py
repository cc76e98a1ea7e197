"""Results of an evaluation, and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.training.evaluation_files import Evaluation


@dataclass(frozen=True)
class Results:
    """An evaluation, remarks on it that are no definitions, and the files that were written.

    `scored` are the scores of its cases, None for a task without them.
    """

    evaluation: Evaluation
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    scored: Scored | None = None


Show = Callable[[Evaluation, Sequence[str]], None]
"""Function that shows an evaluation and its notes."""


def show_nothing(evaluation: Evaluation, notes: Sequence[str]) -> None:
    """Shows nothing."""
