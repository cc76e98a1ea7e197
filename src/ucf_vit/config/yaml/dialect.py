"""YAML dialect of configs: YAML 1.1 with the numbers of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

TAG = "tag:yaml.org,2002:"
SCALARS = {
    "bool": (r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "merge": (r"<<", "<"),
}
"""Plain scalars and their first characters. Unlike YAML 1.1, 1e-5 is a number, 1:1:1 and dates are text."""


DEEPEST = 50
"""Largest number of nested levels; PyYAML's time per token grows with the depth."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with numbers as in YAML 1.2, limited nesting, and a line in every error."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Checks the nesting; PyYAML calls this at each `[` and `{`."""
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        """Checks the nesting; PyYAML calls this where a line may begin a mapping or a list."""
        self._check_depth(len(self.indents))
        return super().add_indent(column)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Returns the value of a node. Raises ConstructorError with its line if it does not fit its tag."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            message = f"a value does not fit its tag, or is too long ({error})"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from None

    def _check_depth(self, level: int) -> None:
        if level >= DEEPEST:
            raise yaml.scanner.ScannerError(None, None, "nested too deeply", self.get_mark())


class Dumper(yaml.SafeDumper):
    """Writes YAML that Loader reads to the same values: quotes texts that Loader would take for numbers."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        """Returns True: a value that occurs twice is written twice, without an alias."""
        return True


def _in_one_line(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence(TAG + "seq", values, flow_style=True)


def _escaped(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Escapes unusual line breaks, which PyYAML would write unchanged and read as spaces."""
    return dumper.represent_scalar(TAG + "str", text, style=None if text.isprintable() else '"')


Dumper.add_representer(list, _in_one_line)
Dumper.add_representer(str, _escaped)


for _tool in (Loader, Dumper):
    for _name, (_pattern, _first) in SCALARS.items():
        _tool.add_implicit_resolver(TAG + _name, re.compile(rf"^(?:{_pattern})$"), list(_first))
