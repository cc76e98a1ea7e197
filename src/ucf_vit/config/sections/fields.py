"""Building blocks of sections: strict values, and keys that carry their own documentation."""

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
    WithJsonSchema,
)

from ucf_vit.core.errors import UserError
from ucf_vit.core.files import paths
from ucf_vit.core.registry import Registry

LARGEST = 2**63 - 1
REQUIRED = ...


class Section(BaseModel):
    """A group of keys: unknown keys and values of another type are errors; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def key(default: Any, description: str, unit: str = "", *, derived: str = "", **limits: Any) -> Any:
    """A documented key of a section.

    `unit` is the unit of its value; `derived` says in words what a default of None or {} becomes when the
    file is loaded; `limits` are pydantic's (ge, gt, le, lt, min_length, max_length).
    """
    return Field(
        default,
        description=description,
        json_schema_extra={"unit": unit, "derived": derived, "limits": limits},
        **limits,
    )


def _read_number(value: Any) -> Any:
    """A number in quotes is a number: `lr: '1e-5'`."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _read_whole(value: Any) -> Any:
    """A whole number may be written `1e5`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _place(read: Callable[[str], str]) -> AfterValidator:
    """Makes of a value the path or URL that it stands for; an empty one, which is none, stays as it is."""

    def convert(text: str) -> str:
        try:
            return read(text) if text else text
        except UserError as error:
            raise ValueError(str(error)) from None

    return AfterValidator(convert)


def known_to(registry: Registry[Any]) -> AfterValidator:
    """Refuses a name that the registry does not know; nothing is imported."""

    def check(name: str) -> str:
        try:
            registry.check(name)
        except UserError as error:
            raise ValueError(str(error)) from None
        return name

    return AfterValidator(check)


def _without_nothing(options: dict[str, Any]) -> dict[str, Any]:
    """Refuses null, which the config as it is written out would not have."""
    for name, value in options.items():
        if value is None:
            raise ValueError(f"{name} has nothing behind it; leave it out to get its default")
        if isinstance(value, dict):
            _without_nothing(value)
    return options


Number = Annotated[float, BeforeValidator(_read_number)]
Whole = Annotated[int, BeforeValidator(_read_whole), Field(le=LARGEST)]
Count = Annotated[Whole, Field(ge=1), WithJsonSchema({"type": "integer", "limits": {"ge": 1}})]
Level = Annotated[Number, Field(ge=0), WithJsonSchema({"type": "number", "limits": {"ge": 0}})]
Index = Annotated[Number, Field(ge=0, le=1), WithJsonSchema({"type": "number", "limits": {"ge": 0, "le": 1}})]
Name = Annotated[str, WithJsonSchema({"type": "string", "format": "name, or path/to/file.py:Class"})]
Options = Annotated[
    dict[str, Any], AfterValidator(_without_nothing), WithJsonSchema({"type": "object", "format": "options"})
]
_Escaped = PlainSerializer(paths.escaped)
PathOrUrl = Annotated[
    str, _place(paths.path_or_url), _Escaped, WithJsonSchema({"type": "string", "format": "path or URL"})
]
LocalPath = Annotated[
    str, _place(paths.local_path), _Escaped, WithJsonSchema({"type": "string", "format": "path"})
]
