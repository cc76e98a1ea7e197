"""Building blocks of sections: strict values, and keys with documentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from ucf_vit.core.errors import UserError
from ucf_vit.core.files import paths
from ucf_vit.core.registry import Registry
from ucf_vit.options.rules import default_of, limits_of

LARGEST = 2**63 - 1
REQUIRED = ...


class Section(BaseModel):
    """Section of a config: unknown keys and values of another type are errors; values are constant."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def key(default: Any, description: str, unit: str = "", *, derived: str = "", **limits: Any) -> Any:
    """Returns a documented key of a section.

    `unit` is the unit of its value; `derived` describes the default that replaces None or {} when the file is
    loaded; `limits` are those of pydantic (ge, gt, le, lt, min_length, max_length).
    """
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit, "derived": derived, "limits": limits},
        **limits,
    )


def option(kind: type, name: str, description: str, unit: str = "", *, derived: str = "") -> Any:
    """Returns the key of an option of a network, with default and limits as its dataclass defines them."""
    return key(default_of(kind, name), description, unit, derived=derived, **limits_of(kind, name))


def _read_number(value: Any) -> Any:
    """Accepts a number in quotes: `lr: '1e-5'`."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _read_whole(value: Any) -> Any:
    """Accepts a whole number written as `1e5`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read_sides(value: Any) -> Any:
    """A side for all axes, or a list with one for each; whether there are as many as axes is for a check."""
    numbers = [_read_whole(side) for side in value] if isinstance(value, list) else [_read_whole(value)]
    if not numbers or any(type(side) is not int or side < 1 for side in numbers):
        raise PydanticCustomError("sides", "expected sides")
    if max(numbers) > LARGEST:
        raise PydanticCustomError("sides", "expected smaller sides", {"le": LARGEST})
    return numbers if isinstance(value, list) else numbers[0]


def _place(read: Callable[[str], str]) -> AfterValidator:
    """Expands a path or URL with `read`; an empty text, which means none, does not change."""

    def convert(text: str) -> str:
        try:
            return read(text) if text else text
        except UserError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(convert)


def known_to(registry: Registry[Any]) -> AfterValidator:
    """Refuses a name that the registry does not have; nothing is imported."""

    def check(name: str) -> str:
        try:
            registry.check(name)
        except UserError as error:
            raise ValueError(str(error)) from None
        return name

    return AfterValidator(check)


def _refuse_null(options: dict[str, Any]) -> dict[str, Any]:
    """Refuses null, which the dumped config would not have."""
    for name, value in options.items():
        if value is None:
            raise ValueError(f"{name} has no value; leave it out to get its default")
        if isinstance(value, dict):
            _refuse_null(value)
    return options


Number = Annotated[float, BeforeValidator(_read_number)]
Whole = Annotated[int, BeforeValidator(_read_whole), Field(le=LARGEST)]
Count = Annotated[Whole, Field(ge=1), WithJsonSchema({"type": "integer", "limits": {"ge": 1}})]
Sides = Annotated[
    int | list[int],
    PlainValidator(_read_sides),
    WithJsonSchema({"type": "integer", "format": "whole number >= 1, or a list with one for each axis"}),
]
Level = Annotated[Number, Field(ge=0), WithJsonSchema({"type": "number", "limits": {"ge": 0}})]
Index = Annotated[Number, Field(ge=0, le=1), WithJsonSchema({"type": "number", "limits": {"ge": 0, "le": 1}})]
Name = Annotated[str, WithJsonSchema({"type": "string", "format": "name, or path/to/file.py:Class"})]
Options = Annotated[
    dict[str, Any], AfterValidator(_refuse_null), WithJsonSchema({"type": "object", "format": "options"})
]
_Escaped = PlainSerializer(paths.escaped)
PathOrUrl = Annotated[
    str, _place(paths.path_or_url), _Escaped, WithJsonSchema({"type": "string", "format": "path or URL"})
]
LocalPath = Annotated[
    str, _place(paths.local_path), _Escaped, WithJsonSchema({"type": "string", "format": "path"})
]
