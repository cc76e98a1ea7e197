"""Files of labels and of predictions, paired by their names."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.lists import first_few
from ucf_vit.core.text import one_form
from ucf_vit.data.sources.layouts.separate_files import is_image_file, stem_of
from ucf_vit.data.sources.listing import is_hidden
from ucf_vit.training.evaluation_files import FOLDER

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """A case: the file of its label, and that of its prediction, None where there is none."""

    name: str
    label: Path
    predicted: Path | None


def find_pairs(labels: Path, predictions: Path) -> list[Pair]:
    """Returns a pair for each label below a directory; its prediction has the same name without suffix.

    Suffixes may differ. Predictions without a label are named in a warning: there is nothing to compare them
    with. Raises UserError for a directory without files, one without any common name, and two files of one
    name.
    """
    ours, theirs = _by_name(predictions, "--predictions"), _by_name(labels, "--labels")
    if not ours.keys() & theirs.keys():
        raise UserError(
            f"--predictions {predictions}: no file has the name of a label in {labels}; it has "
            f"{first_few(list(ours))}, the labels are {first_few(list(theirs))}"
        )
    extra = [name for name in ours if name not in theirs]
    if extra:
        log.warning(
            "%s: %d files have no label in %s and are not evaluated: %s",
            predictions,
            len(extra),
            labels,
            first_few(extra),
        )
    return [Pair(name, path, ours.get(name)) for name, path in theirs.items()]


def missing_in_words(pairs: Sequence[Pair]) -> str:
    """Returns a sentence on the cases without a prediction; empty if there are none."""
    missing = [pair.name for pair in pairs if pair.predicted is None]
    if not missing:
        return ""
    return (
        f"{len(missing)} of {len(pairs)} cases have no prediction: {first_few(missing)}. All their "
        "structures count as missed."
    )


def _by_name(directory: Path, option: str) -> dict[str, Path]:
    """Returns the files below a directory by their path without suffix, sorted."""
    if not directory.is_dir():
        raise UserError(f"{option} {directory}: no such directory")
    found: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if relative.parts[0] == FOLDER:
            continue  # pictures of a report
        if any(map(is_hidden, relative.parts)) or not is_image_file(path.name) or not path.is_file():
            continue
        name = one_form(stem_of(relative.as_posix()))
        if name in found:
            raise DataError(f"{path}: has the same name as {found[name]}; keep one of them")
        found[name] = path
    if not found:
        raise UserError(f"{option} {directory}: holds no volume or picture")
    return found
