"""Name of a task's own class in the config of its run, so that other programs find it again."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

from ucf_vit.config import Run
from ucf_vit.core.files.paths import escaped
from ucf_vit.registries.tasks import TASKS
from ucf_vit.tasks.task import Task

log = logging.getLogger(__name__)


def naming_task(run: Run, task: Task) -> Run:
    """Returns the run with the class of `task` as `trainer.task`, if a script trains another than it names.

    A class in a file becomes `path/to/script.py:Class`, which `ucf-vit evaluate` and all others load. One of
    an interactive session or inside a function can't be found again: they take the task that the config
    names, and a warning says so.
    """
    kind = type(task)
    if TASKS[run.task] is kind:
        return run
    try:
        file = Path(inspect.getfile(kind)).absolute()
    except (OSError, TypeError):
        file = Path()
    if "." in kind.__qualname__ or file.suffix != ".py" or not file.is_file():
        log.warning(
            "the task %s is in no file, so that other commands take %s for this run; put the class at the "
            "top level of a .py file",
            kind.__qualname__,
            run.task,
        )
        return run
    trainer = run.trainer.model_copy(update={"task": f"{escaped(str(file))}:{kind.__qualname__}"})
    return run.model_copy(update={"trainer": trainer})
