"""Loads and checks a config, and writes it as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from ucf_vit.config.check import BEFORE_DEFAULTS, CHECKS, Check
from ucf_vit.config.credentials import find_credentials
from ucf_vit.config.legacy_layout import flatten
from ucf_vit.config.origins import Origins
from ucf_vit.config.overrides import override
from ucf_vit.config.own_directory import config_of, in_own_directory
from ucf_vit.config.problems import MOST, Problem, report
from ucf_vit.config.resolve import resolve
from ucf_vit.config.run import Run
from ucf_vit.config.task_of_file import find_task
from ucf_vit.config.validate import validate
from ucf_vit.config.yaml.dialect import Dumper
from ucf_vit.config.yaml.lines import read
from ucf_vit.core.files.paths import local_path


def load(path: str | Path, overrides: Sequence[str] = (), *, task: str | None = None) -> Run:
    """Returns the run that the YAML file at `path` describes, with `overrides` such as `model.depth=6`.

    In a `path` given as text, `~` and `$NAME` are expanded; a Path is used as it is. It may be the directory
    of a run with its config.yaml. The directory of a run that was renamed or copied is the one that holds its
    config.yaml, whatever trainer.checkpoint_path says.

    `task` is the task that the caller trains, which trainer.task in the file must not contradict. If neither
    is given, the task follows from the keys and the file's folder. No data is read. Raises ConfigError that
    names file and line (or override), key, value and what was expected, for every wrong key.
    """
    given = Path(local_path(path)) if isinstance(path, str) else path
    path = config_of(given)
    document = read(path)
    places = {known: f"{path}:{line}" for known, line in document.lines.items()}
    origins = Origins(str(path), places)
    run = _build(document.values, overrides, task, origins, path.absolute().parent.name)
    return in_own_directory(run, path, named=given != path)


def from_dict(
    values: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    task: str | None = None,
    name: str = "config",
) -> Run:
    """Returns the run that `values` describe, as `load` does; errors name `name` instead of file and line."""
    return _build(values, overrides, task, Origins(name))


def dump(run: Run) -> str:
    """Returns the config as YAML with all defaults filled in; loading it gives an equal run."""
    values = run.model_dump(exclude_none=True)
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def _build(
    values: Mapping[Any, Any],
    overrides: Sequence[str],
    task: str | None,
    origins: Origins,
    folder: str = "",
) -> Run:
    if problems := [Problem(path, message) for path, message in find_credentials(values)]:
        raise report(problems, origins)
    run = validate(override(flatten(values, origins), overrides, origins), origins)
    run._origins = origins
    _check(run, *BEFORE_DEFAULTS)
    run = resolve(run, find_task(run, task, folder), origins.name)
    _check(run, *CHECKS)
    return run


def _check(run: Run, *checks: Check) -> None:
    problems = list(islice((problem for check in checks for problem in check(run)), MOST + 1))
    if problems:
        raise report(problems, run._origins)
