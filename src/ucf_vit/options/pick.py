"""From a dictionary of many options to those of one dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def pick(kind: type[T], values: Mapping[str, Any]) -> T:
    """Returns the options of dataclass `kind` that `values` names; all others keep their defaults."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in known})
