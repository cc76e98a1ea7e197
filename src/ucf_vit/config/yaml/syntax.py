"""Messages for text that is not valid YAML."""

from __future__ import annotations

import re
import textwrap

import yaml

LONGEST = 300
"""Largest number of characters of a message, which may quote the file."""


class NotYamlError(Exception):
    """Error for text that is not valid YAML; `line` counts from 1, None if it is unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if len(message) <= LONGEST else f"{message[:LONGEST]} ...")
        self.line = line


def with_line(error: yaml.MarkedYAMLError, text: str) -> NotYamlError:
    """Returns PyYAML's error about `text` with the line to correct, which may be above that of the error."""
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return NotYamlError(f"not valid YAML: {error.problem}")
    lines = text.splitlines()
    if (number := _without_colon(error, lines)) is not None:
        message = "expected 'key: value', with a colon and a space after the key"
        if not any("@" in line for line in lines[number:]):  # the password of a URL may go on in this line
            message += f", found {textwrap.shorten(lines[number], 60)!r}"
        return NotYamlError(message, number + 1)
    cause = " ".join(filter(None, (error.context, error.problem)))
    where = f" (begun in line {begun.line + 1})" if begun and begun.line != mark.line else ""
    return NotYamlError(f"not valid YAML: {cause}{where}", mark.line + 1)


def _without_colon(error: yaml.MarkedYAMLError, lines: list[str]) -> int | None:
    """Returns the line (from 0) whose colon is missing, None if the error has another cause.

    YAML takes a key without a colon for the beginning of a text that continues in the next line, so PyYAML
    reports the colon there.
    """
    if error.problem == "could not find expected ':'" and error.context_mark:
        return _begins(error.context_mark.line, lines)
    if error.problem == "mapping values are not allowed here" and error.problem_mark:
        above = range(error.problem_mark.line - 1, -1, -1)
        number = next((n for n in above if lines[n].partition("#")[0].strip()), None)
        if number is not None and not re.search(r":(\s|$)", lines[number].partition(" #")[0]):
            return _begins(number, lines)
    return None


def _begins(number: int, lines: list[str]) -> int:
    """Returns the line in which a list or mapping begins that line `number` closes; else `number`."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    if lines[number][indent : indent + 1] not in ("]", "}"):
        return number
    above = range(number - 1, -1, -1)
    return next((n for n in above if lines[n].strip() and not lines[n][: indent + 1].isspace()), number)
