"""Task of a config that does not name it, from its keys and its folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from inspect import isclass

from ucf_vit.config.run import Run
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.core.plugins import in_file
from ucf_vit.registries.tasks import BUILT_IN, OLD_NAMES, TASKS, task_facts, task_name

log = logging.getLogger(__name__)
FOLDERS = {**OLD_NAMES, **{name: name for name in BUILT_IN}}
"""Names of folders that name a task, such as `configs/basic_ct/mae`."""
TELLING_KEYS = {name: facts.telling_keys for name, facts in BUILT_IN.items() if facts.telling_keys}
TELLING = ("mask_ratio", "feature_size", "num_classes", "adaptive_patching", "num_time_steps")


def find_task(run: Run, wanted: str | None, folder: str) -> str:
    """Returns the task: that of the config, else the caller's, else the one that keys and folder agree on.

    A folder without the name of a task is ignored. Raises ConfigError if the caller and the config name
    different tasks (a subclass in a file is no other task), if keys and folder leave several tasks or none,
    or if the task cannot be loaded.
    """
    given, wanted = run.trainer.task, _checked(wanted)
    if wanted and given and wanted != given and not _is_kind_of(given, wanted):
        message = f"but {wanted} was requested, by the script or by --task; start that for {given}, or "
        raise run.error("trainer.task", message + "leave the key out", given)
    task = given or wanted or _infer_task(run, FOLDERS.get(folder.lower()), folder)
    try:
        task_facts(task)
    except UserError as error:
        raise run.error("trainer.task", str(error), task) from None
    return task


def _is_kind_of(given: str, wanted: str) -> bool:
    """Returns whether `given` is a subclass in a file, as a script trained it, of the requested task."""
    if not in_file(given):
        return False
    kinds = TASKS[given], TASKS[wanted]
    return all(map(isclass, kinds)) and issubclass(*kinds)  # type: ignore[arg-type]


def _checked(wanted: str | None) -> str | None:
    """Returns the current name of the requested task. Raises ConfigError if there is no such task."""
    if wanted is None:
        return None
    name = task_name(wanted)
    try:
        TASKS.check(name)
    except UserError as error:
        raise ConfigError(str(error)) from None
    return name


def _infer_task(run: Run, named: str | None, folder: str) -> str:
    given = _given(run)
    fitting = [task for task, telling in TELLING_KEYS.items() if telling.fit(given)]
    agreed = [task for task in fitting if named in (None, task)]
    if len(agreed) == 1:
        where = f" and the folder {folder}" if named else ""
        log.info("%s: trainer.task is not given; by its keys%s it is %s", run.source_path, where, agreed[0])
        return agreed[0]
    raise _question(run, fitting, named, folder)


def _given(run: Run) -> set[str]:
    """Returns the keys of `TELLING` that the config gives; adaptive_patching if it is true."""
    given = run.model.model_fields_set | run.adaptive.model_fields_set | run.diffusion.model_fields_set
    keys = {key for key in TELLING if key in given}
    if run.data.num_classes is not None:
        keys.add("num_classes")
    return keys if run.adaptive.adaptive_patching else keys - {"adaptive_patching"}


def _question(run: Run, fitting: list[str], named: str | None, folder: str) -> ConfigError:
    given = _given(run)
    keys = ", ".join(key for key in TELLING if key in given)
    if not fitting:
        question = f"which task: {_or(list(TELLING_KEYS))}? None of {', '.join(TELLING)} is given"
    elif named:
        question = f"{_or([named, *fitting])}? The folder {folder} says {named}, but {keys} {_or(fitting)}"
    else:
        question = f"{_or(fitting)}? {keys} may mean each of them"
    return run.error("trainer.task", f"{question}; say which: --task NAME, or trainer.task=NAME")


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
