"""Table of the classes of whole images, which a second call completes."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic

FILE = "predictions.csv"
Row = tuple[str, ...]
"""File, class, and the probability of each class."""
SAVE_SECONDS = 10.0
"""Longest time for which rows are only in memory."""


class ClassTable:
    """Rows of file, class and the probability of each class (`p_NAME`), in the order in which they came.

    Rows of the file that exists are kept, unless they are replaced by those in `new`. Raises UserError where
    it has other columns.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path = path
        self.classes = tuple(classes)
        self._columns = ["file", "class", *(f"p_{name}" for name in classes)]
        self.new: dict[str, Row] = {}
        self._saved = time.monotonic()
        self._read()

    @cached_property
    def _rows(self) -> dict[str, Row]:
        """The rows that exist when they are first needed."""
        return self._read()

    def __contains__(self, file: str) -> bool:
        return file in self._rows or file in self.new

    def others(self, files: Sequence[str]) -> list[str]:
        """Returns the files in the table that are not among `files`."""
        return [file for file in self._read() if file not in files]

    def add(self, file: str, probabilities: Sequence[float]) -> None:
        """Adds a row, or replaces that of the same file."""
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        self.new[file] = (file, self.classes[best], *(f"{value:.6f}" for value in probabilities))

    def save_sometimes(self) -> None:
        """Writes all rows where the last time is long ago."""
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes all rows."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._columns, *(self._rows | self.new).values()])
        write_atomic(self.path, text.getvalue())
        self._saved = time.monotonic()

    def _read(self) -> dict[str, Row]:
        if not self.path.exists():
            return {}
        with self.path.open(newline="", encoding="utf-8") as lines:
            columns, *rows = list(csv.reader(lines)) or [[]]
        if columns != self._columns:
            raise UserError(
                f"{self.path}: has the columns {', '.join(columns)}, expected {', '.join(self._columns)}; "
                "name another directory"
            )
        return {row[0]: tuple(row) for row in rows}
