"""Command-line arguments: paths, and refusal of credentials."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from ucf_vit.config.credentials import refuse_in_argument
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.paths import local_path


def to_path(text: str | Path) -> Path:
    """Reads an argument that is a path, with `~` and `$NAME` in it. Raises UserError for a URL."""
    return text if isinstance(text, Path) else Path(local_path(text))


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


class Commands(TyperGroup):
    """Group of commands that refuses credentials in arguments, before any message could show them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises ConfigError for credentials in any argument, before errors of usage."""
        refuse_credentials(args)
        return super().parse_args(ctx, args)
