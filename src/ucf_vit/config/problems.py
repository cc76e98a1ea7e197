"""Problems of a config, reported in one message."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.files.urls import without_credentials

NO_VALUE = object()
MOST = 20
"""Largest number of problems shown at once; finding hints for thousands would take long."""


@dataclass(frozen=True)
class Problem:
    """Problem of the `value` at `path`; `message` says what was expected or what to do."""

    path: KeyPath
    message: str
    value: Any = NO_VALUE


def report(problems: Sequence[Problem], origins: Origins) -> ConfigError:
    """Returns the error for `problems`, each with place, key and value: one line, or a list of up to MOST."""
    lines = [without_credentials(_line(problem, origins)) for problem in problems[:MOST]]
    if len(lines) == 1:
        return ConfigError(lines[0])
    more = len(problems) > MOST
    count = f"more than {MOST}" if more else len(lines)
    return ConfigError("\n  ".join([f"{origins.name}: {count} errors", *lines, *(["..."] if more else [])]))


def _line(problem: Problem, origins: Origins) -> str:
    subject = dotted(
        part if len(str(part)) <= 80 else show(part) for part in origins.name_of(problem.path)
    ) + ("" if problem.value is NO_VALUE else f" = {show(problem.value)}")
    return f"{origins.where(problem.path)}: {subject}: {problem.message}"


def show(value: Any) -> str:
    """Returns a value as one short line, however large it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    value = without_credentials(value) if isinstance(value, str) else value
    short = reprlib.Repr()
    short.maxlevel, short.maxdict = 3, 8
    short.maxstring = short.maxother = short.maxlong = 80
    try:
        return short.repr(value)
    except ValueError:
        return "a number of thousands of digits"
