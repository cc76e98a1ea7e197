"""Checks across sections: classes, ranks, checkpoints, plans and tracking."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ucf_vit.config.checks.adaptive import warn_unused
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.config.sections.parallelism import SIZES
from ucf_vit.core.files.names import is_file_name

RESERVED = re.compile(r"best|.*_(even|odd|step_\d+)")
"""Names of `best` and of slots, which other checkpoints must not have."""


def class_counts(run: Run) -> Iterator[Problem]:
    """Checks that data.num_classes and model.num_classes are the same number."""
    in_data, in_model = run.data.num_classes, run.model.num_classes
    if in_data is not None and in_model is not None and in_data != in_model:
        message = f"model.num_classes is {in_model}, but both mean the same number; give one of them"
        yield Problem(("data", "num_classes"), message, in_data)


def classes_for_task(run: Run) -> Iterator[Problem]:
    """Checks that segmentation and classification have two classes or more."""
    count = run.model.num_classes
    if not run.learns_labels or (count is not None and count > 1):
        return
    path = ("data", "num_classes")
    if count is None:
        counted = "classes, background included" if run.task_facts.background else "classes"
        yield Problem(path, f"missing; task {run.task} needs the number of {counted}")
    else:
        yield Problem(path, f"expected 2 or more for task {run.task}; count the background as a class", count)


def sizes(run: Run) -> Iterator[Problem]:
    """Checks that sizes are positive; one of them may be -1, the remaining ranks."""
    sizes = run.parallelism.sizes()
    for name, size in sizes.items():
        if size < 1 and size != -1:
            yield Problem(("parallelism", name), "expected 1 or more, or -1 for the remaining ranks", size)
    free = [name for name in SIZES if sizes[name] == -1]
    for name in free[1:]:
        message = f"only one size can be -1, and parallelism.{free[0]} is -1 too; give a number"
        yield Problem(("parallelism", name), message, -1)


def pretrained(run: Run) -> Iterator[Problem]:
    """Checks the keys of a run that starts from the weights of another one."""
    if run.trainer.use_pretrained_mae_model and run.trainer.start_from:
        message = "trainer.use_pretrained_mae_model is true too; a run starts from one of them"
        yield Problem(("trainer", "start_from"), message, run.trainer.start_from)
    others = ("use_pretrained_mae_model", "start_from")
    if run.model.pretrained and (given := [name for name in others if getattr(run.trainer, name)]):
        message = f"trainer.{given[0]} is given too; a run starts from one of them"
        yield Problem(("model", "pretrained"), message, run.model.pretrained)
    if run.model.pretrained_channels and not run.model.pretrained:
        message = "model.pretrained is not set: no weights are taken; leave it out"
        yield Problem(("model", "pretrained_channels"), message, run.model.pretrained_channels)
    if run.trainer.start_without and not run.trainer.start_from:
        message = "trainer.start_from is not set: no weights are taken; leave it out"
        yield Problem(("trainer", "start_without"), message, run.trainer.start_without)
    if run.trainer.use_pretrained_mae_model and not run.trainer.mae_checkpoint_path:
        message = "missing; expected the output directory of the masked autoencoder's run, since "
        yield Problem(
            ("trainer", "mae_checkpoint_path"), message + "trainer.use_pretrained_mae_model is true"
        )


def checkpoint_names(run: Run) -> Iterator[Problem]:
    """Checks that names of checkpoints are names of directories and not taken."""
    trainer = run.trainer
    for key in ("checkpoint_filename", "checkpoint_filename_for_loading", "mae_checkpoint_filename"):
        name = getattr(trainer, key)
        if name and not is_file_name(name):
            yield Problem(
                ("trainer", key), "expected the name of a checkpoint, such as last, not a path", name
            )
    if RESERVED.fullmatch(trainer.checkpoint_filename):
        message = "taken by checkpoints that a run writes beside these; expected another name, such as last"
        yield Problem(("trainer", "checkpoint_filename"), message, trainer.checkpoint_filename)


def plan(run: Run) -> Iterator[Problem]:
    """Checks that data.order is rank if there is a plan."""
    if run.load_balancing.plan and run.data.order == "global":
        message = "data.order is global, which follows no plan; set data.order=rank, or leave the plan out"
        yield Problem(("load_balancing", "plan"), message, run.load_balancing.plan)


def tracking(run: Run) -> Iterator[Problem]:
    """Warns of the keys of section `tracking` without the hook that reads them."""
    if "mlflow" not in run.trainer.hooks:
        keys = [f"tracking.{name}" for name in type(run.tracking).model_fields]
        warn_unused(run, keys, "trainer.hooks does not have mlflow")
    yield from ()


def groups(run: Run) -> Iterator[Problem]:
    """Checks that each data set has data ranks if automatic balancing is off."""
    balancing = run.load_balancing
    if balancing.auto_load_balancing:
        return
    text, count = balancing.dataset_group_list, len(run.having("training"))
    try:
        good = len(balancing.groups()) == count and min(balancing.groups()) >= 1
    except ValueError:
        good = False
    if not good:
        example = ":".join(["1"] * count)
        message = f"expected a number of data ranks for each of the {count} datasets, such as '{example}'"
        yield Problem(("load_balancing", "dataset_group_list"), message, text)
