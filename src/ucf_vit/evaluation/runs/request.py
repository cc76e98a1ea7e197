"""Request of an evaluation: a checkpoint and items."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ucf_vit.config import Run, Split
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.paths import path_or_url
from ucf_vit.core.files.urls import bare, name_of
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.storage import MissingError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.training.data_record import Record
from ucf_vit.training.inputs.datasets import Part, build_datasets

HOW = {
    "validation": "data.validation, data.split.validation, data.dict_end_idx or data.dict_val_start_idx",
    "test": "data.test, data.split.test or data.dict_test_start_idx",
    "training": "data.dict_end_idx",
}
"""Keys that define the files of each split."""


@dataclass(frozen=True)
class EvaluationRequest:
    """Request of an evaluation. `roots` are whole data sets, `[NAME=]ROOT`, instead of a split of the run.

    `checkpoint` None is the best one, or the newest if there is no best. `threshold` adds the best intensity
    intervals to the results; `allow_trained` includes items that were trained on; `output` is the directory
    to write to (None: that of the run). `choose_postprocessing` chooses the post-processing of the run's
    predictions on the validation items first; without `postprocess` none is applied. Predictions are the mean
    of the run and those in `ensemble`.
    """

    checkpoint: str | None = None
    split: Split = "validation"
    roots: tuple[str, ...] = ()
    threshold: bool = False
    allow_trained: bool = False
    output: Path | None = None
    choose_postprocessing: bool = False
    postprocess: bool = True
    ensemble: tuple[Path, ...] = ()

    def datasets(self, run: Run, record: Record) -> list[Dataset]:
        """Returns the data sets to evaluate on. Raises UserError if they have no items or are not found."""
        parts = [_part(run, text) for text in self.roots] or None
        try:
            datasets = build_datasets(run, Scratch(), self.split, parts=parts, record=record)
        except MissingError as error:
            raise error if self.roots else _elsewhere(run, self.split, error) from None
        datasets = [one for one in datasets if len(one.items)]
        if not datasets:
            raise UserError(
                f"no {self.split} items: set {HOW[self.split]}, or name other data with --data ROOT"
            )
        return datasets

    @property
    def on(self) -> str:
        """Description of the items."""
        roots = ", ".join(name_of(bare(root)) or root for root in self.roots)
        return f"all items of {roots}" if roots else f"{self.split} items"

    def file_name(self, checkpoint: str) -> str:
        """Returns the name, without suffix, of the file of results: a different one for each request."""
        if self.ensemble:
            return replace(self, ensemble=()).file_name(f"{checkpoint}_and_{len(self.ensemble)}_more")
        if not self.roots:
            return f"{self.split}_{checkpoint}"
        digest = hashlib.blake2b("\n".join(self.roots).encode(), digest_size=4).hexdigest()
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in name_of(self.roots[0]))[:40]
        return f"data_{name}_{digest}_{checkpoint}"


def _elsewhere(run: Run, split: Split, error: MissingError) -> DataError:
    """Returns `error` with the way to name another place of the data of the run."""
    roots = {name: split if run.data.root(name, split) else "dict_root_dirs" for name in run.having(split)}
    keys = " ".join(f"data.{key}.{name}=ROOT" for name, key in roots.items())
    return DataError(f"{error}. Where the data of the run is elsewhere now, append {keys}")


def _part(run: Run, text: str) -> Part:
    """Reads `NAME=ROOT`, or only ROOT if the run has one data set."""
    name, equals, root = text.partition("=")
    if equals and name in run.datasets:
        return Part(name, path_or_url(root))
    if len(run.datasets) > 1:
        raise UserError(
            f"--data {text}: expected NAME=ROOT with a data set of the run: {_names(run.datasets)}"
        )
    return Part(run.datasets[0], path_or_url(text))


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
