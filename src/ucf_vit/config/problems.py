"""What is wrong with a config, as one message."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ucf_vit.config.located import KeyPath
from ucf_vit.config.origins import Origins, dotted
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.urls import without_credentials

NO_VALUE = object()


@dataclass(frozen=True)
class Problem:
    """`message` says what was expected, or what to do, for the `value` at `path`."""

    path: KeyPath
    message: str
    value: Any = NO_VALUE


def report(problems: Sequence[Problem], origins: Origins) -> ConfigError:
    """The error for all `problems`: each with its place, key and value; one line for one, a list for more."""
    lines = [without_credentials(_line(problem, origins)) for problem in problems]
    if len(lines) == 1:
        return ConfigError(lines[0])
    return ConfigError("\n  ".join([f"{origins.name}: {len(lines)} errors", *lines]))


def _line(problem: Problem, origins: Origins) -> str:
    subject = dotted(problem.path) + ("" if problem.value is NO_VALUE else f" = {show(problem.value)}")
    return f"{origins.where(problem.path)}: {subject}: {problem.message}"


def show(value: Any) -> str:
    """A value in one short line, however large it is."""
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
