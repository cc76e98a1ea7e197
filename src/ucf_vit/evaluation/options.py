"""Options of an evaluation, the same on the command line and in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from ucf_vit.config import Split
from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.files.evaluate_files import FilesRequest, evaluate_files
from ucf_vit.evaluation.results import Results, Show, show_nothing
from ucf_vit.evaluation.runs.evaluate_run import evaluate_run
from ucf_vit.evaluation.runs.request import EvaluationRequest

OF_FILES = ("labels", "images", "classes", "groups", "ignore")
"""Options for predictions in files; all others are for runs."""
NAMES = {"ensemble": "--with", "postprocess": "--no-postprocessing"}
"""Options of the command that are called otherwise."""


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of `ucf-vit evaluate` and `ucf_vit.evaluate`, with their defaults."""

    split: Split | None = None
    data: tuple[str, ...] = ()
    ensemble: tuple[Path, ...] = ()
    checkpoint: str | None = None
    threshold: bool = False
    allow_trained: bool = False
    choose_postprocessing: bool = False
    postprocess: bool = True
    labels: Path | None = None
    images: Path | None = None
    classes: str | None = None
    groups: str = ""
    ignore: int | None = None

    def check(self, run: object, predictions: object) -> None:
        """Raises UserError unless there is either a run or predictions, and the options are for that."""
        if (run is None) == (predictions is None):
            raise UserError("name either a run or --predictions DIR, with --labels DIR")
        if (predictions is None) != (self.labels is None):
            raise UserError("--predictions DIR and --labels DIR belong together; give both")
        if self.split and self.data:
            raise UserError(
                f"--split {self.split} selects items of the run, --data other data; leave one of the two out"
            )
        if self.split is not None and self.split not in (known := get_args(Split)[1:]):
            raise UserError(f"split {self.split!r}: expected {' or '.join(known)}")
        given = [one.name for one in fields(self) if getattr(self, one.name) != one.default]
        if unfit := [name for name in given if (name in OF_FILES) != (run is None)]:
            names = ", ".join(NAMES.get(name, f"--{name.replace('_', '-')}") for name in unfit)
            raise UserError(f"{names}: not for {'--predictions' if run is None else 'a run'}; leave it out")

    def evaluate(
        self,
        path: Path,
        overrides: Sequence[str] = (),
        *,
        output: Path | None = None,
        task: str | None = None,
        show: Show = show_nothing,
    ) -> Results | None:
        """Evaluates the run, or with `labels` the predictions, at a path; see `evaluate_run`."""
        if self.labels is not None:
            wanted = FilesRequest(
                path, self.labels, self.classes, self.groups, self.ignore, images=self.images, output=output
            )
            return evaluate_files(wanted, show)
        request = EvaluationRequest(
            self.checkpoint,
            self.split or "validation",
            self.data,
            self.threshold,
            self.allow_trained,
            output,
            self.choose_postprocessing,
            self.postprocess,
            self.ensemble,
        )
        return evaluate_run(path, request, overrides, task, show)
