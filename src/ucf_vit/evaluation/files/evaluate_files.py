"""Evaluation of predictions in files, of any tool, against labels in files."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.sources import Item
from ucf_vit.data.splits.groups import group_of_items
from ucf_vit.evaluation.cases.of_task import definitions_of, titles_of
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.cases.table import Scores, distinct
from ucf_vit.evaluation.cases.views import Gallery, view_of
from ucf_vit.evaluation.files.classes import class_names
from ucf_vit.evaluation.files.pairs import Pair, find_pairs, missing_in_words
from ucf_vit.evaluation.files.read_pair import PairReader, ReadPair
from ucf_vit.evaluation.output_place import OutputPlace
from ucf_vit.evaluation.results import Results, Show, show_nothing
from ucf_vit.metrics.policy import SEGMENTATION, ClassScores
from ucf_vit.metrics.segmentation import TOLERANCE, score_case
from ucf_vit.training.evaluation_files import Evaluation
from ucf_vit.training.hooks.report import environment
from ucf_vit.training.launch import find_place

log = logging.getLogger(__name__)
NAME = "files"
"""Name of the results in the folder of evaluations."""


@dataclass(frozen=True)
class FilesRequest:
    """Request to compare the files of `predictions` with those of `labels`, by name.

    `classes` names the classes, see `class_names`; `groups` is a pattern in the names, or a .csv, as in
    `data.groups`; voxels with the value `ignored` do not count; `tolerance` is that of the normalised surface
    distance, in mm; `images` is a directory with images of the same names, for the pictures of the report.
    """

    predictions: Path
    labels: Path
    classes: str | None = None
    groups: str = ""
    ignored: int | None = None
    tolerance: float = TOLERANCE
    images: Path | None = None
    output: Path | None = None


def evaluate_files(request: FilesRequest, show: Show = show_nothing) -> Results:
    """Evaluates predictions in files, one case at a time, and writes results, scores and report.

    A case without a prediction counts with all its structures missed. Raises UserError for files that cannot
    be compared, naming them.
    """
    if find_place().size > 1:
        raise UserError("--predictions are evaluated by one process; start it without a launcher")
    if request.images is not None and not request.images.is_dir():
        raise UserError(f"--images {request.images}: no such directory")
    pairs = find_pairs(request.labels, request.predictions)
    names = class_names(request.classes, [request.predictions, request.labels])
    items = [Item(pair.name, str(pair.label)) for pair in pairs]
    groups = group_of_items(items, str(request.labels), request.groups)
    place = OutputPlace.choose(request.predictions, request.output)
    groups = {name: group or name for name, group in groups.items()}
    scored = _score(pairs, request, names, groups)
    missing = missing_in_words(pairs)
    notes = [missing] if missing else []
    evaluation = Evaluation(
        title=f"{request.predictions} compared with {request.labels}",
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        facts={
            "Data": f"{len(pairs)} labels in {request.labels}",
            "Items": f"{len(pairs)} cases in {len(set(groups.values()))} groups",
            "Not evaluated": str(sum(pair.predicted is None for pair in pairs)),
        },
        metrics={},
        counts=scored.table.counts if isinstance(scored.table, Scores) else {},
        notes=(*notes, *definitions_of(scored)),
        summary=scored.summary(),
        titles=titles_of(SEGMENTATION),
        items={str(request.labels): tuple(pair.name for pair in pairs)},
        environment=environment(torch.device("cpu")),
    )
    show(evaluation, notes)
    files = place.write(evaluation, NAME, "Evaluation of files", scored)
    return Results(evaluation, tuple(notes), tuple(files), scored)


def _score(
    pairs: Sequence[Pair], request: FilesRequest, names: dict[int, str], groups: dict[str, str]
) -> Scored:
    reader, gallery = PairReader(request.ignored), Gallery()
    scored: list[tuple[str, str, dict[int, ClassScores]]] = []
    for pair in pairs:
        read = reader.read(pair)
        numbers = sorted(set(np.unique(read.label).tolist()) | set(np.unique(read.predicted).tolist()))
        strange = [number for number in numbers if number > 0 and names and number not in names]
        if strange:
            where = pair.label if (read.label == strange[0]).any() else pair.predicted
            raise DataError(f"{where}: holds class {strange[0]}, which has no name; name it in --classes")
        scores = _by_number(read, [number for number in numbers if number > 0], request.tolerance)
        scored.append((pair.name, groups[pair.name], scores))
        values = [one.values["dice"] for one in scores.values() if one.values]
        if values:
            image = reader.image(request.images, pair) if request.images else None
            affine = read.geometry.affine if read.geometry else None
            make = partial(view_of, image, read.label, read.predicted, read.spacing, affine)
            gallery.offer(pair.name, float(np.mean(values)), make)
    found = sorted({number for _, _, scores in scored for number in scores} | {n for n in names if n > 0})
    table = [
        (case, group, [scores.get(number, ClassScores("neither")) for number in found])
        for case, group, scores in scored
    ]
    titles = distinct({number: names.get(number, f"class {number}") for number in found})
    return Scored(Scores.of_classes(table, list(titles.values()), SEGMENTATION), gallery, titles)


def _by_number(read: ReadPair, numbers: Sequence[int], tolerance: float) -> dict[int, ClassScores]:
    """Returns the scores of the classes of a case, whatever their numbers are."""
    places = np.zeros(max(numbers, default=0) + 2, np.int16)
    places[list(numbers)] = np.arange(1, len(numbers) + 1)
    places[-1] = -1
    scores = score_case(places[read.predicted], places[read.label], len(numbers) + 1, read.spacing, tolerance)
    return dict(zip(numbers, scores, strict=True))
