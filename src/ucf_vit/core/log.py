"""Log of a run: everything in a file, and the important lines on the terminal of the first process."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal, TextIO

import rich
from rich.console import Console
from rich.logging import RichHandler

from ucf_vit.core.files.urls import without_credentials

ROOT = "ucf_vit"
FILE_ONLY = {"file_only": True}
"""`log.info(line, extra=FILE_ONLY)` writes only to the file, not to the terminal."""
_DATE = "%Y-%m-%d %H:%M:%S"
_WARNING = re.compile(
    r"\d{4}-\d\d-\d\d [\d:]{8} (?:WARNING|ERROR|CRITICAL) +(?:\[rank \d+\] )?[\w.]+: (?P<text>.*)"
)


def get_logger(name: str) -> logging.Logger:
    """Returns the logger of a module or script (`__name__`), below the logger of the package."""
    return logging.getLogger(name if f"{name}.".startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def set_up(file: Path | None = None, *, rank: int = 0, ranks: int = 1) -> None:
    """Sends the log to standard output and appends it to `file`; replaces the set-up of an earlier call.

    The first process shows INFO and above on standard output (with rich on a terminal, else as plain lines)
    and writes everything to the file. The other processes write only warnings, with their rank, and open the
    file only for these.
    """
    root = logging.getLogger(ROOT)
    for handler in [handler for handler in root.handlers if getattr(handler, "of_run", False)]:
        root.removeHandler(handler)
        handler.close()
    prefix = f"[rank {rank}] " if ranks > 1 else ""
    handlers = [_to_terminal(prefix)] if rank == 0 else []
    if file is not None:
        handlers.append(_to_file(file, prefix, logging.DEBUG if rank == 0 else logging.WARNING))
    for handler in handlers:
        handler.of_run = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)


@contextmanager
def showing_warnings(passes: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Context that shows the warnings that pass on standard error, until `set_up` takes their place."""
    root, handler = logging.getLogger(ROOT), _Standard("stderr")
    handler.setFormatter(_Formatter("warning: %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.addFilter(passes)
    handler.of_run = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextmanager
def silent() -> Iterator[None]:
    """Context in which nothing is logged."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def terminal() -> Console | None:
    """Returns the shared console of the terminal or notebook, None if standard output is neither."""
    if sys.stdout.isatty():
        return rich.get_console()
    return _notebook() if _in_notebook() else None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def _notebook() -> Console:
    """Returns a console for the text below a cell, where a line is replaced as on a terminal."""
    return Console(force_terminal=True, force_jupyter=False, width=100)


def say(line: str) -> None:
    """Prints a line to standard output, without markup or wrapping."""
    Console().print(line, soft_wrap=True, highlight=False, markup=False)


def read_warnings(file: Path) -> Counter[str]:
    """Returns the warnings and errors in a log file (the first line of each) with their counts, in order."""
    if not file.is_file():
        return Counter()
    with file.open(encoding="utf-8", errors="replace") as lines:
        return Counter(match["text"] for line in lines if (match := _WARNING.match(line)))


class _Formatter(logging.Formatter):
    """Formatter that hides credentials, for example in errors of libraries."""

    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _Tolerant(logging.Handler):
    """Handler that warns once if it cannot write, for example on a full disk; the run continues."""

    has_warned = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.has_warned:
            self.has_warned = True
            print(f"warning: {self} cannot be written ({error.strerror})", file=sys.stderr)


class _File(_Tolerant, logging.FileHandler):
    """Log file."""

    def __str__(self) -> str:
        return self.baseFilename

    def close(self) -> None:
        with suppress(OSError):  # the warning was given already
            super().close()


class _Standard(_Tolerant, logging.StreamHandler[TextIO]):
    """Handler that writes to the current `sys.stdout` or `sys.stderr`, not to that at start-up."""

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        logging.Handler.__init__(self)
        self._stream = name

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return getattr(sys, self._stream)

    def __str__(self) -> str:
        return "standard output" if self._stream == "stdout" else "standard error"


def _to_terminal(prefix: str) -> logging.Handler:
    console = terminal()
    handler: logging.Handler
    if console is None:
        handler = _Standard("stdout")
        handler.setFormatter(_Formatter(f"%(asctime)s %(levelname)s {prefix}%(message)s", _DATE))
    else:
        handler = RichHandler(console=console, show_path=False, log_time_format="%X")
        handler.setFormatter(_Formatter("%(message)s"))
    handler.setLevel(logging.INFO)
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    return handler


def _to_file(file: Path, prefix: str, level: int) -> logging.Handler:
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _File(file, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(_Formatter(f"%(asctime)s %(levelname)-7s {prefix}%(name)s: %(message)s", _DATE))
    handler.setLevel(level)
    return handler
