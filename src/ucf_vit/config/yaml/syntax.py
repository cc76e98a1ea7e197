"""Where text is no YAML, and what is probably meant."""

from __future__ import annotations

import re
import textwrap

import yaml

LONGEST = 300
"""Characters of a message, which may hold words of the file."""


class NotYamlError(Exception):
    """Text that is not YAML as it is understood here; `line` counts from 1, None if it is not known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if len(message) <= LONGEST else f"{message[:LONGEST]} ...")
        self.line = line


def located(error: yaml.MarkedYAMLError, text: str) -> NotYamlError:
    """PyYAML's error about `text` with the line that is to be mended, which may be above the error."""
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return NotYamlError(f"not valid YAML: {error.problem}")
    lines = text.splitlines()
    if (number := _without_colon(error, lines)) is not None:
        found = textwrap.shorten(lines[number], 60)
        message = f"expected 'key: value', with a colon and a space after the key, found {found!r}"
        return NotYamlError(message, number + 1)
    what = " ".join(filter(None, (error.context, error.problem)))
    where = f" (begun in line {begun.line + 1})" if begun and begun.line != mark.line else ""
    return NotYamlError(f"not valid YAML: {what}{where}", mark.line + 1)


def _without_colon(error: yaml.MarkedYAMLError, lines: list[str]) -> int | None:
    """The line whose colon is missing, from 0, if that is what the error is about.

    A key without one is the beginning of a text, which goes on in the next line up to the colon there.
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
    """Of a line that closes a list that of its beginning: the next line above as far left."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    if lines[number][indent : indent + 1] not in ("]", "}"):
        return number
    above = range(number - 1, -1, -1)
    return next((n for n in above if lines[n].strip() and not lines[n][: indent + 1].isspace()), number)
