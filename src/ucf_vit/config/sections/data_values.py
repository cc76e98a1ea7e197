"""Values of the section `data` that can be written in several ways: labels, spacings."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, Strict, WithJsonSchema

from ucf_vit.config.sections.fields import LARGEST
from ucf_vit.core.intervals import NAN, Interval


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, found {str(value).lower()}")
    return value


Label = Annotated[int, BeforeValidator(_no_truth), Strict(False), Field(ge=-LARGEST, le=LARGEST)]


def _read_label(value: Any) -> int | str:
    """Returns a stored label, `nan`, or a range of labels as text."""
    with suppress(ValueError, TypeError):
        if not isinstance(value, bool) and abs(int(value)) <= LARGEST:
            return int(value)
    with suppress(ValueError, AttributeError):
        if value.strip().lower() in (NAN, f".{NAN}"):  # YAML writes .nan
            return NAN
        Interval.parse(value)
        return str(value)
    raise ValueError("expected a label: a whole number, nan, or a range such as '>0', '<=3' or '1..255'")


def _read_spacing(value: Any) -> str | list[float]:
    """Returns "as_stored", "median", or the spacing along 2 or 3 axes."""
    if value in ("as_stored", "median"):
        return str(value)
    with suppress(ValueError, TypeError):
        steps = [math.nan if isinstance(one, bool) else float(one) for one in value]
        if isinstance(value, list | tuple) and len(steps) in (2, 3) and all(0 < s < math.inf for s in steps):
            return steps
    raise ValueError("expected as_stored, median, or 2 or 3 numbers above 0 in mm, such as [1, 1, 2.5]")


def _each_label_once(mapping: Any) -> Any:
    """Refuses a label that is given twice, in different forms such as 5 and '5'."""
    seen: dict[int | str, Any] = {}
    for written in mapping if isinstance(mapping, dict) else ():
        try:
            label = _read_label(written)
        except ValueError:
            continue  # refused by its own key
        if label in seen:
            both = f"{seen[label]!r} and {written!r}"
            raise ValueError(f"the label {label} occurs twice, as {both}; keep one")
        seen[label] = written
    return mapping


Spacing = Annotated[
    str | list[float],
    PlainValidator(_read_spacing),
    WithJsonSchema({"type": "string", "format": "list of numbers > 0, or as_stored, or median"}),
]
LabelKey = Annotated[int | str, BeforeValidator(_read_label)]
LabelMapping = Annotated[dict[LabelKey, Label], BeforeValidator(_each_label_once)]
