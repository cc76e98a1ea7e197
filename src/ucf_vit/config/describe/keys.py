"""All keys of a config with type, unit, default and description, from the schema."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ucf_vit.config.run import Run
from ucf_vit.config.yaml.lines import KeyPath
from ucf_vit.options.rules import SIGNS

Schema = Mapping[str, Any]
PLACE = "<dataset>"


@dataclass(frozen=True)
class Key:
    """A key: `name` such as model.depth, `kind` such as "whole number >= 1", `default` as YAML or words."""

    name: str
    description: str
    kind: str
    unit: str
    default: str

    @property
    def section(self) -> str:
        """Section of the key."""
        return self.name.partition(".")[0]


@functools.cache
def schema() -> Schema:
    """Returns the JSON schema of a run."""
    return Run.model_json_schema()


def resolve(part: Schema) -> Schema:
    """Returns a schema with its reference resolved and without its alternative null."""
    for option in (*part.get("anyOf", ()), *part.get("allOf", ())):
        if option.get("type") != "null":
            part = {**part, **option}
    return resolve(schema()["$defs"][part["$ref"].rpartition("/")[2]]) if "$ref" in part else part


def at(path: KeyPath) -> Schema | None:
    """Returns the schema of the value at `path`, None if there is no such key."""
    part = resolve(schema())
    for step in path:
        if "properties" in part:
            inner = part["properties"].get(step)
        elif part.get("type") == "array":
            inner = part.get("items")
        else:
            inner = part.get("additionalProperties")
        if not isinstance(inner, Mapping):
            return None
        part = resolve(inner)
    return part


def names_in(path: KeyPath) -> list[str]:
    """Returns the keys of the section or dictionary at `path`; empty if any names are allowed."""
    return list((at(path) or {}).get("properties", {}))


def sections() -> dict[str, str]:
    """Returns the descriptions of the sections by name."""
    return {
        name: " ".join(resolve(part)["description"].split()) for name, part in schema()["properties"].items()
    }


@functools.cache
def keys() -> dict[str, Key]:
    """Returns all keys by name, in the order of the schema."""
    collected: dict[str, Key] = {}
    for section in schema()["properties"]:
        _collect((section,), collected)
    return collected


def _collect(path: KeyPath, collected: dict[str, Key]) -> None:
    part = at(path) or {}
    for name, child in part["properties"].items():
        full = ".".join(map(str, (*path, name)))
        whole = resolve(child)
        collected[full] = Key(
            full,
            " ".join(child["description"].split()),
            words(whole).removeprefix("a "),
            child.get("unit", ""),
            _default(child, name in part.get("required", ())),
        )
        if "properties" in whole:
            _collect((*path, name), collected)
        entries = whole.get("additionalProperties")
        if isinstance(entries, Mapping) and "properties" in resolve(entries):
            _collect((*path, name, PLACE), collected)


def _default(child: Schema, required: bool) -> str:
    if required:
        return "required"
    if child.get("derived"):
        return str(child["derived"])
    return json.dumps(child["default"]).replace("null", "none")


def words(part: Schema, entry: str = "dataset") -> str:
    """Returns the type of a value in words: `a whole number >= 1`; `entry` names a dictionary's keys."""
    if "enum" in part:
        return "one of " + ", ".join(part["enum"])
    kind = part["type"]
    if kind == "array":
        return f"a list{_length(part)}, each {words(resolve(part['items']))}"
    if kind == "object" and "properties" in part:
        return f"a dictionary with the keys {', '.join(part['properties'])}"
    if kind == "object" and "additionalProperties" not in part:
        return "a dictionary"
    if kind == "object":
        return f"a dictionary, for each {entry} {words(resolve(part['additionalProperties']), 'label')}"
    name = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}[
        kind
    ]
    return (f"a {part['format']}" if "format" in part else name) + _limits(part)


def _length(part: Schema) -> str:
    low, high = part.get("minItems"), part.get("maxItems")
    if low is None:
        return ""
    return f" of {low}" if low == high else f" of {low} to {high}" if high else f" of {low} or more"


def _limits(part: Schema) -> str:
    limits = [f"{SIGNS[name]} {limit}" for name, limit in part.get("limits", {}).items() if name in SIGNS]
    return (" " + " and ".join(limits)) if limits else ""
