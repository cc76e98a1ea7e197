"""Training and evaluation of runs, as the commands do them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from ucf_vit.api.model import Model, load
from ucf_vit.api.undisturbed import undisturbed
from ucf_vit.config import Run, Split, from_dict
from ucf_vit.config import load as load_config
from ucf_vit.core.files.paths import to_path
from ucf_vit.evaluation.options import EvaluationOptions
from ucf_vit.training.build import build_task
from ucf_vit.training.evaluation_files import Evaluation
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task


def train(
    config: str | Path | Mapping[str, Any] | Run,
    overrides: Sequence[str] = (),
    *,
    task: str | None = None,
    hooks: Sequence[Hook] = (),
    progress: bool = True,
) -> Model:
    """Trains the run that a config describes, and returns its model: the best checkpoint.

    The config is a YAML file, the directory of a run, the same as nested dictionaries, or a `Run`.
    `overrides`, such as `model.depth=6`, take precedence; `task` is for a config that names none; `hooks` are
    called beside those of the run. Everything is written to `trainer.checkpoint_path`; `progress` also shows
    the log, and a bar in a terminal or notebook.

    Signals, random generators and logs of the program are afterwards as they were. Raises ConfigError for
    every wrong key, and KeyboardInterrupt if a signal ended the training: the run is saved then, and goes on
    with `trainer.resume_from_checkpoint=true`.
    """
    if isinstance(config, Run):
        run = from_dict(config.model_dump(exclude_none=True), overrides, task=task) if overrides else config
    elif isinstance(config, Mapping):
        run = from_dict(config, overrides, task=task)
    else:
        run = load_config(config, overrides, task=task)
    directory = Path(run.trainer.checkpoint_path)
    shown = nullcontext() if progress else redirect_stdout(io.StringIO())
    with undisturbed(), shown, start(run) as world:
        finished = train_task(build_task(run), run, world, hooks)
    if not finished:
        raise KeyboardInterrupt(f"{directory}: saved; trainer.resume_from_checkpoint=true continues")
    return load(directory)


def evaluate(
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    split: Split | None = None,
    data: str | Sequence[str] = (),
    ensemble: str | Path | Sequence[str | Path] = (),
    checkpoint: str | None = None,
    threshold: bool = False,
    allow_trained: bool = False,
    choose_postprocessing: bool = False,
    postprocess: bool = True,
    predictions: str | Path | None = None,
    labels: str | Path | None = None,
    images: str | Path | None = None,
    classes: str | Sequence[str] | None = None,
    groups: str = "",
    ignore: int | None = None,
    output: str | Path | None = None,
    task: str | None = None,
) -> Evaluation:
    """Evaluates a trained run on held-out items, or predictions in files; `metrics` are values by name.

    As `ucf-vit evaluate` does, it writes the results to the directory of the run or of the predictions, or to
    `output`, and refuses items that were trained on unless `allow_trained`.

    Args:
        run: directory of a run, one of its checkpoints, or its YAML file.
        overrides: changes of the run's config.
        split: "validation" (default) or "test"; the best checkpoint was chosen on the validation items.
        data: roots of other data sets, `[NAME=]ROOT`, in place of a split.
        ensemble: further runs or checkpoints: the mean of all is evaluated.
        checkpoint: name of a checkpoint; by default the best, or the newest if there is no best.
        threshold: add the best intensity thresholds, for segmentations.
        allow_trained: include items that the checkpoint was trained on.
        choose_postprocessing: choose the post-processing of segmentations on the validation items.
        postprocess: apply the post-processing that was chosen.
        predictions: directory with labels that any tool predicted, in place of a run.
        labels: directory with the true labels of `predictions`, in files of the same names.
        images: directory with their images, for the pictures of the report.
        classes: names of classes 1, 2, ... of `predictions`, or a .json file.
        groups: patients of `predictions`: a pattern in the names of files, or a .csv.
        ignore: value in `labels` of voxels that do not count.
        output: directory to write to.
        task: the task, if the config does not name it.

    Raises UserError for an impossible request before anything is computed.
    """
    further = [ensemble] if isinstance(ensemble, str | Path) else ensemble
    options = EvaluationOptions(
        split=split,
        data=(data,) if isinstance(data, str) else tuple(data),
        ensemble=tuple(map(to_path, further)),
        checkpoint=checkpoint,
        threshold=threshold,
        allow_trained=allow_trained,
        choose_postprocessing=choose_postprocessing,
        postprocess=postprocess,
        labels=None if labels is None else to_path(labels),
        images=None if images is None else to_path(images),
        classes=classes if classes is None or isinstance(classes, str) else ",".join(classes),
        groups=groups,
        ignore=ignore,
    )
    options.check(run, predictions)
    evaluated = [to_path(one) for one in (run, predictions) if one is not None]
    place = None if output is None else to_path(output)
    with undisturbed():
        results = options.evaluate(evaluated[0], overrides, output=place, task=task)
    if results is None:
        raise RuntimeError("the results are on the first process only")
    return results.evaluation
