"""Command-line arguments: paths, completion, help, and refusal of credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperGroup

from ucf_vit.config.credentials import refuse_in_argument
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import to_path as to_path


def to_sides(option: str, text: str) -> tuple[int, ...]:
    """Reads the sides that `option` has: `16` for all axes, or `16x16x8`. Raises UserError for others."""
    parts = text.split("x")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise UserError(f"{option} {text}: expected sides such as 64x64x64, or 256x256 for images")
    return tuple(map(int, parts))


def refuse_credentials(arguments: Iterable[str]) -> None:
    """Raises ConfigError if an argument is or contains a URL with credentials."""
    for argument in arguments:
        refuse_in_argument(argument)


def matching(words: Iterable[str], incomplete: str) -> list[str]:
    """Returns the words that begin as the incomplete one, for the completion of a shell."""
    return [word for word in words if word.startswith(incomplete)]


_TYPES = {"str": "TEXT", "Path": "PATH", "int": "N", "float": "NUMBER", "bool": ""}
_TYPE = re.compile(r" <([^<>]*)>")
_SENTENCE = re.compile(r"(?<=\.)\s+")


class Commands(TyperGroup):
    """Group of commands that refuses credentials in arguments, before any message could show them.

    The help of its commands names types in words instead of Python's names, and its list has their first
    sentences in full.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises ConfigError for credentials in any argument, before errors of usage."""
        refuse_credentials(args)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a command, None if there is none of this name."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            return None
        for parameter in command.params:
            _name_types(parameter)
        command.short_help = _SENTENCE.split(command.help or "", maxsplit=1)[0]
        return command


def _name_types(parameter: Any) -> None:
    """Makes the help of a parameter readable: `--seed N` for an option, `CONFIG` for an argument."""
    original, is_option = parameter.get_help_record, parameter.param_type_name == "option"

    def record(ctx: Any) -> tuple[str, str] | None:
        found = original(ctx)
        return found and (_TYPE.sub(lambda kind: _in_words(kind[1]) * is_option, found[0]), found[1])

    parameter.get_help_record = record


def _in_words(kind: str) -> str:
    """Returns ` N` for `int range`, ` a|b` for a choice of a and b."""
    name = kind.removesuffix(" range").removeprefix("list[").removesuffix("]")
    word = _TYPES.get(name, name)
    return f" {word}" if word else ""
