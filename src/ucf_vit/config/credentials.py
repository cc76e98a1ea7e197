"""Credentials in URLs are refused wherever they stand, before anything else is said of a config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ucf_vit.config.yaml.lines import KeyPath, NotYamlError, parse
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.core.files.urls import begins_as_url, refuse_credentials

_ASSIGNED = re.compile(r"(?P<name>[\w.-]+)=(?P<value>.*)", re.DOTALL)


def carriers(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Where a text in `value`, or a key, has credentials, and what to say of it; a list is looked at once."""
    yield from _carriers(value, (), set())


def _carriers(value: Any, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        try:
            refuse_credentials(value)
        except UserError as error:
            yield path, str(error)
    elif isinstance(value, list | tuple | Mapping) and id(value) not in seen:
        seen.add(id(value))
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, inner in pairs:
            yield from _carriers(name, path, seen)
            yield from _carriers(inner, (*path, name), seen)


def refuse_in_argument(text: str) -> None:
    """ConfigError where an argument such as `s3://bucket`, `--out=DIR` or `model.depth=6` has credentials."""
    found = _ASSIGNED.fullmatch(text)
    value: Any = text if found is None else found["value"]
    if found is not None and not begins_as_url(value):
        with suppress(NotYamlError):
            value = parse(value)
    for _, message in carriers(value):
        raise ConfigError(message if found is None else f"{found['name']}: {message}")
