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
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import local_path
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
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
    run: str | Path,
    overrides: Sequence[str] = (),
    *,
    split: Split = "validation",
    data: str | Sequence[str] = (),
    checkpoint: str | None = None,
    threshold: bool = False,
    allow_trained: bool = False,
    output: str | Path | None = None,
    task: str | None = None,
) -> Evaluation:
    """Evaluates a trained run on held-out items; its `metrics` are values by name, by task.

    As `ucf-vit evaluate` does, it writes the results to the directory of the run, or to `output`, and
    refuses items that were trained on unless `allow_trained`.

    Args:
        run: directory of a run, one of its checkpoints, or its YAML file.
        overrides: changes of the run's config.
        split: "validation" or "test"; the best checkpoint was chosen on the validation items.
        data: roots of other data sets, `[NAME=]ROOT`, in place of a split.
        checkpoint: name of a checkpoint; by default the best, or the newest if there is no best.
        threshold: add the best intensity thresholds, for segmentations.
        allow_trained: include items that the checkpoint was trained on.
        output: directory to write to.
        task: the task, if the config does not name it.

    Raises UserError for an impossible request before anything is computed.
    """
    if split not in ("validation", "test"):
        raise UserError(f"split {split!r}: expected validation or test")
    path = Path(local_path(run)) if isinstance(run, str) else run
    roots = (data,) if isinstance(data, str) else tuple(data)
    place = None if output is None else Path(output)
    request = EvaluationRequest(checkpoint, split, roots, threshold, allow_trained, place)
    with undisturbed():
        results = evaluate_run(path, request, overrides, task)
    if results is None:
        raise RuntimeError("the results are on the first process only")
    return results.evaluation
