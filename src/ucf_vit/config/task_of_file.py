"""The task of a config that does not name it, from its keys and the folder it is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from ucf_vit.config.run import Run
from ucf_vit.config.sections.trainer import TaskName
from ucf_vit.core.errors import ConfigError

TASKS: tuple[TaskName, ...] = get_args(TaskName)
FOLDERS: dict[str, TaskName] = {"mae": "masked", **{name: name for name in TASKS}}
"""Folders such as `configs/basic_ct/mae`, whose name says what their files train."""
KEYS: dict[TaskName, Callable[[set[str]], bool]] = {
    "masked": lambda keys: "mask_ratio" in keys and not keys & {"feature_size", "num_time_steps"},
    "unetr": lambda keys: "feature_size" in keys and "num_time_steps" not in keys,
    "sap": lambda keys: (
        {"num_classes", "adaptive_patching"} <= keys and not keys & {"feature_size", "num_time_steps"}
    ),
    "classification": lambda keys: (
        "num_classes" in keys and not keys & {"feature_size", "num_time_steps", "mask_ratio"}
    ),
    "diffusion": lambda keys: "num_time_steps" in keys,
}
"""Whether the keys that a config gives may be those of a task. UNETR and SAP, which can start from a masked
autoencoder, may hold its keys too."""
TELLING = ("mask_ratio", "feature_size", "num_classes", "adaptive_patching", "num_time_steps")


def find_task(run: Run, wanted: TaskName | None, folder: str) -> TaskName:
    """What to train: by the config, else by the caller, else what keys and `folder` agree on.

    A folder that has no task's name has no say. Raises ConfigError if the caller wants something else than
    the config says, or if keys and folder leave more than one task or none.
    """
    told = run.trainer.task
    if wanted and told and wanted != told:
        message = f"but {wanted} was asked for, by the script or by --task; start that for {told}, or "
        raise run.error("trainer.task", message + "leave the key out", told)
    return told or wanted or _agreed(run, FOLDERS.get(folder.lower()), folder)


def _agreed(run: Run, named: TaskName | None, folder: str) -> TaskName:
    given = _given(run)
    fitting = [task for task in TASKS if KEYS[task](given)]
    left = [task for task in fitting if named in (None, task)]
    if len(left) == 1:
        return left[0]
    raise _question(run, fitting, named, folder)


def _given(run: Run) -> set[str]:
    """Those of `TELLING` that the config gives; adaptive_patching if it is true."""
    given = run.model.model_fields_set | run.adaptive.model_fields_set | run.diffusion.model_fields_set
    keys = {key for key in TELLING if key in given}
    if run.data.num_classes is not None:
        keys.add("num_classes")
    return keys if run.adaptive.adaptive_patching else keys - {"adaptive_patching"}


def _question(run: Run, fitting: list[TaskName], named: TaskName | None, folder: str) -> ConfigError:
    given = _given(run)
    keys = ", ".join(key for key in TELLING if key in given)
    if not fitting:
        asked = f"what is to be trained: {_or(TASKS)}? None of {', '.join(TELLING)} is given"
    elif named:
        asked = f"{_or([named, *fitting])}? The folder {folder} says {named}, but {keys} {_or(fitting)}"
    else:
        asked = f"{_or(fitting)}? {keys} may mean each of them"
    return run.error("trainer.task", f"{asked}; say which: --task NAME, or trainer.task=NAME")


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
