"""Reads YAML with the line of each value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ucf_vit.config.yaml.dialect import TAG, Loader
from ucf_vit.config.yaml.syntax import NotYamlError, with_line
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.files.urls import without_credentials
from ucf_vit.core.text import decoded_text

KeyPath = tuple[str | int, ...]
LARGEST = 2**20
"""Largest size of a config in bytes; a larger file was named by mistake."""
MOST_MERGED = 100_000
"""Largest number of keys copied by merges (`<<`)."""
_FROM_BYTES = {0xDC80 + byte: 0x10FC80 + byte for byte in range(128)}
"""Python's surrogates for bytes that are not UTF-8, to private characters that YAML allows."""
_TO_BYTES = {private: surrogate for surrogate, private in _FROM_BYTES.items()}


@dataclass(frozen=True)
class Document:
    """Values of a file, and their lines (from 1) by path, such as `("model", "depth")`."""

    values: dict[Any, Any]
    lines: dict[KeyPath, int]


def read(path: Path) -> Document:
    """Reads the mapping in a YAML file. Raises ConfigError if it cannot be read or holds anything else."""
    text = _text(path)
    try:
        node = _compose(text)
        values = None if node is None else _construct(node)
    except NotYamlError as error:
        place = path if error.line is None else f"{path}:{error.line}"
        message: object = error
        if without_credentials(text) != text:
            message = (
                "not valid YAML, of which no more is shown: a URL in the file seems to carry credentials"
            )
        raise ConfigError(f"{place}: {message}") from None
    if not isinstance(values, dict):
        content = (
            "is empty" if values is None else f"holds a {'list' if isinstance(values, list) else 'value'}"
        )
        raise ConfigError(
            f"{path}: {content}; expected sections such as model: and data: with keys below them"
        )
    return Document(values, dict(_lines(node, (), set())))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(
                f"{path}: larger than {LARGEST >> 20} MiB; give the path of the run's YAML file"
            )
        return decoded_text(content)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of the run's YAML file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; give the path of the run's YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not a text file in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: can't be read: {error}") from None


def parse_argument(text: str) -> Any:
    """Parses text that may hold file names that are not UTF-8, which YAML does not allow."""

    def back(value: Any) -> Any:
        if isinstance(value, str):
            return value.translate(_TO_BYTES)
        if isinstance(value, list):
            return [back(inner) for inner in value]
        if isinstance(value, dict):
            return {back(name): back(inner) for name, inner in value.items()}
        return value

    escaped = text.translate(_FROM_BYTES)
    return parse(text) if escaped == text else back(parse(escaped))


def parse(text: str) -> Any:
    """Returns the value of a YAML text, None for an empty text. Raises NotYamlError."""
    node = _compose(text)
    return None if node is None else _construct(node)


def _compose(text: str) -> yaml.Node | None:
    try:
        return Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise with_line(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYamlError(
            f"not valid YAML: character U+{error.character:04X} is not allowed", line
        ) from None
    except RecursionError:
        raise NotYamlError("nested too deeply") from None


def _construct(node: yaml.Node) -> Any:
    try:
        _refuse_bad_keys(node, set())
        _refuse_many_merges(node)
        return Loader("").construct_document(node)
    except yaml.constructor.ConstructorError as error:
        raise with_line(error, "") from None
    except RecursionError:
        raise NotYamlError("nested too deeply") from None


def _refuse_bad_keys(node: yaml.Node, seen: set[int]) -> None:
    """Raises NotYamlError for a key that is not text or a whole number, or that occurs twice.

    Each node is visited once, however many aliases it has.
    """
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_bad_keys(child, seen)
        return
    first: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag not in (TAG + "str", TAG + "int", TAG + "merge"):
            shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or dictionary"
            raise NotYamlError(f"{shown} as a key is not text; put it in quotes", line)
        if before := first.get((key.tag, key.value)):
            raise NotYamlError(f"key {key.value!r} occurs twice (first in line {before}); remove one", line)
        first[key.tag, key.value] = line
        _refuse_bad_keys(value, seen)


def _refuse_many_merges(root: yaml.Node) -> None:
    """Raises NotYamlError if merges copy too many keys: a few lines that merge each other make any number."""
    sizes: dict[int, int] = {}
    remaining = MOST_MERGED

    def size(node: yaml.Node) -> int:
        nonlocal remaining
        if isinstance(node, yaml.ScalarNode):
            return 0
        if id(node) in sizes:
            return sizes[id(node)]
        sizes[id(node)] = 0
        if isinstance(node, yaml.SequenceNode):
            keys = sum(map(size, node.value))
        else:
            merged = sum(size(value) for key, value in node.value if key.tag == TAG + "merge")
            for _, value in node.value:
                size(value)
            remaining -= merged
            keys = merged + len(node.value)
            if remaining < 0:
                raise NotYamlError(
                    f"merges (<<) copy more than {MOST_MERGED:,} keys", node.start_mark.line + 1
                )
        sizes[id(node)] = keys
        return keys

    size(root)


def _lines(node: yaml.Node | None, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, int]]:
    """Yields paths and lines of the values in `node`; values below an alias have only the alias's line."""
    if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    pairs: list[tuple[str | int, yaml.Node, yaml.Node]]
    if isinstance(node, yaml.SequenceNode):
        pairs = [(index, child, child) for index, child in enumerate(node.value)]
    else:
        pairs = [(_plain(key), key, value) for key, value in node.value]
    for part, start, child in pairs:
        text_below = isinstance(child, yaml.ScalarNode) and child.value and child.start_mark.line
        yield (*path, part), (text_below or start.start_mark.line) + 1
        yield from _lines(child, (*path, part), seen)


def _plain(key: yaml.Node) -> str | int:
    digits = str(key.value).replace("_", "")
    return int(digits) if key.tag == TAG + "int" and digits.lstrip("+-").isdecimal() else str(key.value)
