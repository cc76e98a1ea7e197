"""Refusal of credentials in URLs, before any other check, so that no message shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ucf_vit.config.yaml.lines import KeyPath, NotYamlError, parse
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.core.files.urls import begins_as_url, refuse_credentials

_ASSIGNED = re.compile(r"(?P<name>[\w.-]+)=(?P<value>.*)", re.DOTALL)


def find_credentials(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yields the path of each text or key in `value` that has credentials, with a message.

    A list or dictionary that occurs several times is searched once.
    """
    yield from _find_credentials(value, (), set())


def _find_credentials(value: Any, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        try:
            refuse_credentials(value)
        except UserError as error:
            yield path, str(error)
    elif isinstance(value, list | tuple | Mapping) and id(value) not in seen:
        seen.add(id(value))
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, inner in pairs:
            yield from _find_credentials(name, path, seen)
            yield from _find_credentials(inner, (*path, name), seen)


def refuse_in_argument(text: str) -> None:
    """Raises ConfigError if an argument such as `s3://bucket` or `data.cache_dir=DIR` has credentials."""
    match = _ASSIGNED.fullmatch(text)
    value: Any = text if match is None else match["value"]
    if match is not None and not begins_as_url(value):
        with suppress(NotYamlError):
            value = parse(value)
    for _, message in find_credentials(value):
        raise ConfigError(message if match is None else f"{match['name']}: {message}")
