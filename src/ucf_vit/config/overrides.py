"""Overrides on the command line, such as `model.depth=6` or `data.dict_root_dirs.ct1=/data/ct`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ucf_vit.config.credentials import refuse_in_argument
from ucf_vit.config.describe.keys import at, keys
from ucf_vit.config.legacy_layout import canonical, without_net
from ucf_vit.config.origins import Origins, dotted
from ucf_vit.config.problems import show
from ucf_vit.config.yaml.lines import KeyPath, NotYamlError, parse_argument
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import ConfigError

CLASS_COUNTS: tuple[KeyPath, KeyPath] = (("model", "num_classes"), ("data", "num_classes"))


def override(values: dict[Any, Any], overrides: Iterable[str], origins: Origins) -> dict[Any, Any]:
    """Returns `values` with each override `section.key=value` applied; values are YAML, the last one wins.

    Raises ConfigError with the text of an override that cannot be read.
    """
    for text in overrides:
        refuse_in_argument(text)
        written, value = _split(text)
        path = canonical(written)
        values = _put(values, path, value, text, written)
        origins.record_override(path, text)
        origins.names[path[:2]] = written[:2]
    return _one_class_count(values, origins)


def _split(text: str) -> tuple[KeyPath, Any]:
    name, equals, written = text.partition("=")
    path = without_net(tuple(name.strip().split(".")))
    if not equals or not all(path):
        raise ConfigError(f"override {show(text)}: expected section.key=value, e.g. model.depth=6")
    if len(path) == 1:
        hint = did_you_mean(name.strip(), [known.partition(".")[2] for known in keys()])
        full = [known for known in keys() if known.endswith(f".{name.strip()}")]
        hint = f" (did you mean {full[0]!r}?)" if full else hint
        raise ConfigError(f"override {show(text)}: expected section.key=value, e.g. model.depth=6{hint}")
    try:
        value = parse_argument(written) if written.strip() else ""
    except NotYamlError as error:
        raise ConfigError(f"override {show(text)}: {error}") from None
    wants_text = (at(canonical(path)) or {}).get("type") == "string"
    return path, written if wants_text and isinstance(value, bool | int | float) else value


def _put(values: dict[Any, Any], path: KeyPath, value: Any, text: str, written: KeyPath) -> dict[Any, Any]:
    """Returns `values` with `value` at `path`, which the override `text` names `written`."""
    first, *others = path
    if not others:
        return {**values, first: value}
    inner = values.get(first)
    if inner is not None and not isinstance(inner, dict):
        name = dotted(written[: len(written) - len(others)])
        raise ConfigError(
            f"override {show(text)}: {name} is {show(inner)}, not a dictionary; give {name}=value"
        )
    return {**values, first: _put(inner or {}, tuple(others), value, text, written)}


def _one_class_count(values: dict[Any, Any], origins: Origins) -> dict[Any, Any]:
    """Removes the file's number of classes if the other key for it was overridden: there are two keys."""
    for (name, key), other in (CLASS_COUNTS, CLASS_COUNTS[::-1]):
        section = values.get(name)
        if (
            origins.from_override(other)
            and not origins.from_override((name, key))
            and isinstance(section, dict)
        ):
            values = {**values, name: {known: value for known, value in section.items() if known != key}}
    return values
