"""Predicts images with a trained run: `ucf-vit predict`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.lists import first_few
from ucf_vit.core.log import say
from ucf_vit.data.batch import Skipped
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.inference.inputs import Case, find_cases
from ucf_vit.inference.outputs import about, check_apart, check_names, in_words, open_output
from ucf_vit.inference.predictors import CLASSES, Advance, Predictor, classes_json, predictor_of
from ucf_vit.inference.request import PredictionRequest
from ucf_vit.inference.terminal import Display
from ucf_vit.training.saved_runs.open_ensemble import open_ensemble
from ucf_vit.training.saved_runs.open_trained import Trained

log = logging.getLogger(__name__)


def predict_run(path: Path, request: PredictionRequest, overrides: Sequence[str] = ()) -> None:
    """Predicts all inputs with the run or checkpoint at `path`, and writes the predictions.

    Items whose prediction exists are left out, unless it is to be overwritten. An unreadable file is named
    and skipped. Raises UserError: before anything is predicted for a request that can't be fulfilled, and at
    the end with the number of inputs that failed.
    """
    trained, members = open_ensemble([path, *request.ensemble], overrides, mirror=request.mirror)
    predictor = predictor_of(trained, request)
    cases, failed = find_cases(trained.run, trained.record, request.inputs, request.dataset)
    if not cases:
        raise UserError(f"nothing to predict: {'; '.join(one.cause for one in failed)}")
    check_names(cases)
    check_apart(cases, predictor.written)
    existing = [file for case in cases for file in predictor.written(case) if file.exists()]
    facts = about(members, overrides, request.mirror)
    open_output(request.output, facts, existing, request.overwrite, {CLASSES: classes_json(trained)})
    todo = [case for case in cases if request.overwrite or not predictor.is_done(case)]
    say(f"{in_words(members)}: {len(todo)} items to predict")
    if len(todo) < len(cases):
        say(f"{len(cases) - len(todo)} predicted already; replace them with --overwrite")
    for one in failed:
        log.warning("skipped an unreadable file: %s", one.cause)
    try:
        failed += _predict_all(todo, predictor, trained)
    finally:
        predictor.finish()
    say(f"{request.output}: {len(cases)} items, {len(todo)} of them new")
    if failed:
        names = first_few([one.file for one in failed], 5)
        raise UserError(f"{len(failed)} input(s) could not be predicted: {names}; the others are done")


def _predict_all(cases: Sequence[Case], predictor: Predictor, trained: Trained[Any]) -> list[Skipped]:
    """Predicts items one after the other; returns those that failed."""
    failed: list[Skipped] = []
    with Display(len(cases), sum(prod(case.shape) for case in cases)) as display:
        for case in cases:
            began, done = time.monotonic(), 0

            def advance(voxels: int) -> None:
                nonlocal done
                done += voxels
                display.advance(voxels)

            try:
                _predict(case, predictor, trained, advance)
                result = f"{time.monotonic() - began:.1f} s"
            except DataError as error:
                file, cause = case.item.image, str(error)
                cause = cause if file in cause else f"{file}: {cause}"
                failed.append(Skipped(file, cause))
                log.warning("skipped an unreadable file: %s", cause)
                result = "failed"
            display.end(case.item.key, result, prod(case.shape) - done)
    return failed


@torch.inference_mode()
def _predict(case: Case, predictor: Predictor, trained: Trained[Any], advance: Advance) -> None:
    sample = TileReader(case.dataset, case.dataset.channels).whole(case.number)
    dtype = getattr(torch, trained.run.trainer.data_type)
    with torch.autocast(trained.device.type, dtype, enabled=dtype != torch.float32):
        predictor.predict(case, sample, advance)
