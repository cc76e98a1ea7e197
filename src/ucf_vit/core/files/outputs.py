"""Checks of output files of commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ucf_vit.core.errors import UserError


def check_png(path: Path, option: str) -> None:
    """Raises UserError if the picture that a command-line `option` names is not a PNG file."""
    if path.suffix.lower() != ".png":
        raise UserError(f"{option} {path}: a PNG file is written; call it .png")


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Raises UserError if one of `paths` is a directory, or exists and `overwrite` is not set."""
    for path in paths:
        if path.is_dir():
            raise UserError(f"{path} is a directory; name a file in it")
        if not overwrite and (path.exists() or path.is_symlink()):
            raise UserError(f"{path} exists already; replace it with --overwrite, or name another file")
