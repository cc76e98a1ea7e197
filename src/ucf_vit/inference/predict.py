"""Predicts images with a trained run: `ucf-vit predict`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.lists import first_few
from ucf_vit.core.log import say
from ucf_vit.data.batch import Skipped
from ucf_vit.inference.classes import CLASSES, classes_json
from ucf_vit.inference.inputs import Case, find_cases
from ucf_vit.inference.outputs import about, check_apart, check_names, in_words, open_output
from ucf_vit.inference.predict_item import predict_item
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.shares import PATIENCE, share_of
from ucf_vit.inference.terminal import Display
from ucf_vit.inference.writers import Writer, writer_of
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.launch import in_mode_simple, start
from ucf_vit.training.same_on_all_ranks import check_same
from ucf_vit.training.saved_runs.open_ensemble import open_ensemble
from ucf_vit.training.saved_runs.open_run import FoundRun, find_run
from ucf_vit.training.saved_runs.open_trained import Trained

log = logging.getLogger(__name__)


def predict_run(path: Path, request: PredictionRequest, overrides: Sequence[str] = ()) -> None:
    """Predicts all inputs with the run or checkpoint at `path`, and writes the predictions.

    Processes that a launcher has started share the items. Items whose prediction exists are left out, unless
    it is to be overwritten. An unreadable file is named and skipped. Raises UserError: before anything is
    predicted for a request that can't be fulfilled, and at the end with the number of inputs that failed.
    """
    found = [find_run(one, overrides) for one in (path, *request.ensemble)]
    with start(in_mode_simple(found[0].run)) as world:
        _predict_run(found, request, overrides, world.with_cpu_group(PATIENCE))


def _predict_run(
    found: Sequence[FoundRun], request: PredictionRequest, overrides: Sequence[str], world: World
) -> None:
    trained, members = open_ensemble(found, mirror=request.mirror)
    if not request.postprocess:
        trained = replace(trained, postprocessing=None)
    writer = writer_of(trained, request, world.is_main)
    cases, failed = find_cases(trained.run, trained.record, request.inputs, request.dataset)
    if not cases:
        raise UserError(f"nothing to predict: {'; '.join(one.cause for one in failed)}")
    check_same({f"input {number}": case.item.image for number, case in enumerate(cases)}, world)
    check_names(cases)
    check_apart(cases, writer.written)

    def prepare() -> list[int]:
        existing = [file for case in cases for file in writer.written(case) if file.exists()]
        facts = about(members, overrides, request.mirror, trained.postprocessing)
        files = {CLASSES: classes_json(trained)} if trained.run.model.num_classes else {}
        others = partial(writer.others, cases)
        open_output(request.output, facts, list(dict.fromkeys(existing)), request.overwrite, files, others)
        return [n for n, case in enumerate(cases) if request.overwrite or not writer.is_done(case)]

    todo = [cases[number] for number in world.on_main(prepare)]
    if world.is_main:
        _announce(members, world, len(todo), len(cases), failed)
        if trained.postprocessing is not None:
            say(f"post-processing: {trained.postprocessing.in_words(trained.record.label_names)}")
    mine = share_of(world.rank, world.size, [prod(case.shape) for case in todo])
    try:
        newly = _predict_all([todo[number] for number in mine], trained, writer, request, world.is_main)
    except BaseException:
        if world.is_main:
            writer.save(writer.rows)
        raise
    rows = {key: row for of_rank in world.gather(writer.rows) for key, row in of_rank.items()}
    lost = world.gather(newly)
    failed += [one for of_rank in lost for one in of_rank]
    if world.is_main:
        writer.save({case.item.key: rows[case.item.key] for case in todo if case.item.key in rows})
        _conclude(request.output, len(cases), len(todo) - sum(map(len, lost)), failed)


def _announce(
    members: Sequence[Trained[Any]], world: World, todo: int, cases: int, failed: Sequence[Skipped]
) -> None:
    say(f"{in_words(members)}: {todo} items to predict")
    if world.size > 1:
        say(f"{world.size} processes share them; shown is the share of the first one")
    if todo < cases:
        say(f"{cases - todo} predicted already; replace them with --overwrite")
    for one in failed:
        log.warning("skipped an unreadable file: %s", one.cause)


def _conclude(output: Path, cases: int, new: int, failed: Sequence[Skipped]) -> None:
    say(f"{output}: {cases} items, {new} of them new")
    if failed:
        names = first_few([one.file for one in failed], 5)
        raise UserError(f"{len(failed)} input(s) could not be predicted: {names}; the others are done")


def _predict_all(
    cases: Sequence[Case], trained: Trained[Any], writer: Writer, request: PredictionRequest, shown: bool
) -> list[Skipped]:
    """Predicts and writes items one after the other; returns those that failed."""
    failed: list[Skipped] = []
    options: dict[str, Any] = {"probabilities": request.probabilities}
    with Display(len(cases), sum(prod(case.shape) for case in cases), shown) as display:
        for case in cases:
            began, done = time.monotonic(), 0

            def advance(voxels: int) -> None:
                nonlocal done
                done += voxels
                display.advance(voxels)

            try:
                writer.write(case, predict_item(trained, case, request.output, advance=advance, **options))
                result = f"{time.monotonic() - began:.1f} s"
            except DataError as error:
                file, cause = case.item.image, str(error)
                cause = cause if file in cause else f"{file}: {cause}"
                failed.append(Skipped(file, cause))
                log.warning("skipped an unreadable file: %s", cause)
                result = "failed"
            display.end(case.item.key, result, prod(case.shape) - done)
    return failed
