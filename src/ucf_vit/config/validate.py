"""Validates values against the schema: types, ranges and unknown keys."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ucf_vit.config.describe.keys import at, keys, names_in, words
from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.problems import MOST, NO_VALUE, Problem, report
from ucf_vit.config.run import Run
from ucf_vit.config.sections.fields import LARGEST
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.core.did_you_mean import did_you_mean


def validate(values: dict[Any, Any], origins: Origins) -> Run:
    """Returns the run that `values` describe. Raises ConfigError that lists every wrong key."""
    try:
        return Run.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)[: MOST + 1]
        raise report(list(map(_problem, errors)), origins) from None


def _problem(error: ErrorDetails) -> Problem:
    path, kind, value = tuple(error["loc"]), error["type"], error["input"]
    if kind == "value_error":
        return Problem(path[:-1] if path[-1] == "[key]" else path, str(error["ctx"]["error"]))
    if path[-1:] == ("[key]",):
        wanted = "text; put it in quotes" if kind == "string_type" else "a whole number"
        return Problem(path[:-1], f"expected a name that is {wanted}")
    if kind == "missing":
        return Problem(path, f"missing; expected {_expected(path)}")
    if kind == "extra_forbidden":
        return Problem(path, "unknown key" + _meant(path), value)
    if kind == "invalid_key":
        return Problem(path, "unknown key; keys are text", NO_VALUE)
    most = f"; at most {LARGEST}" if error.get("ctx", {}).get("le") == LARGEST else ""
    return Problem(path, f"expected {_expected(path)}{most}" + _hint(path, value), value)


def _expected(path: KeyPath) -> str:
    known = keys().get(dotted(path))
    kind = words(at(path) or {"type": "string"})
    if len(path) == 1:
        return f"a section (ucf-vit config explain {path[0]} lists its keys)"
    unit = f" ({known.unit})" if known and known.unit else ""
    return kind + unit


def _meant(path: KeyPath) -> str:
    """Returns a hint for an unknown key: that key in another section, a similar key, or the known keys."""
    name, siblings = str(path[-1]), names_in(path[:-1])
    elsewhere = {known.rpartition(".")[2]: known for known in keys()}
    if name in elsewhere:
        return f" here (did you mean {elsewhere[name]!r}?)"
    hint = did_you_mean(name, siblings) or did_you_mean(name, list(keys()))
    return hint or f"; known here: {', '.join(siblings)}"


def _hint(path: KeyPath, value: Any) -> str:
    part = at(path) or {}
    if value is None:
        return "; leave the key out to get its default"
    if part.get("type") == "string" and isinstance(value, bool | int | float):
        return did_you_mean(str(value), part.get("enum", [])) or "; put it in quotes"
    return did_you_mean(value, part["enum"]) if "enum" in part and isinstance(value, str) else ""
