"""Data sets listed by a table of files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import DataError
from ucf_vit.core.files.urls import checked
from ucf_vit.core.text import decoded_text
from ucf_vit.data.reading import reading
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.readers.pictures import PictureReader
from ucf_vit.data.sources.readers.reader_of import reader_of
from ucf_vit.data.sources.source import Item
from ucf_vit.data.storage import Cache, Files, is_remote, join
from ucf_vit.data.storage.scratch import Scratch

COLUMNS = ("image", "label", "group", "split")
BETWEEN = ";"
SPLITS = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "": "",
}
"""Names of the splits in the column `split`."""


class Table(FileSource):
    """Rows of a .csv or .tsv file with a column `image` and, if there are such, `label`, `group`, `split`.

    Files are relative to the table, absolute, or URLs: NIfTI volumes or pictures. `image` may list one file
    per variable, separated by ";". Other columns are not read.
    """

    def __init__(
        self,
        root: str | Path,
        variables: Sequence[str] = ("intensity",),
        label_geometry: Literal["refuse", "accept"] = "refuse",
        scratch: Scratch | None = None,
        files: Files | None = None,
    ) -> None:
        scratch = scratch or Scratch()
        files = files or Files(Cache(scratch))
        self.rows = _rows(str(root), files)
        number, row = next(iter(self.rows.items()))
        first = row["image"].split(BETWEEN)
        reader = reader_of(first[0].strip(), scratch, files, f"{root}, row {number}: image")
        if isinstance(reader, PictureReader) and len(first) == 1 and len(variables) in (1, 3, 4):
            reader = PictureReader(len(variables), scratch=scratch, files=files)
        super().__init__(str(root), variables, reader, label_geometry)

    def items(self) -> Sequence[Item]:
        """Returns one item per row, in the order of the table. Raises DataError that names the row."""
        items: dict[str, Item] = {}
        for number, row in self.rows.items():
            item = self._item(number, row)
            if items.setdefault(_one_path(item.image), item) is not item:
                raise DataError(f"{self.root}, row {number}: {item.key} is there twice; keep one row")
        return list(items.values())

    def _item(self, number: int, row: dict[str, str]) -> Item:
        where = f"{self.root}, row {number}"
        names = [name.strip() for name in row["image"].split(BETWEEN)]
        if not all(names):
            raise DataError(f"{where}: no image is named")
        if len(names) > 1 and len(names) != len(self.variables):
            raise DataError(
                f"{where}: names {len(names)} files, expected {len(self.variables)}, one for each of "
                + ", ".join(self.variables)
            )
        split = row.get("split", "").lower()
        if split not in SPLITS:
            known = ", ".join(name for name in SPLITS if name)
            raise DataError(f"{where}: split {split!r}{did_you_mean(split, list(SPLITS))}; expected {known}")
        first, *others = map(self._path, names)
        label = self._path(row["label"]) if row.get("label") else None
        return Item(
            names[0],
            first,
            label,
            group=row.get("group", ""),
            split=SPLITS[split],
            channel_files=tuple(others),
        )

    def _path(self, name: str) -> str:
        return checked(name) if is_remote(name) else join(self.root.rpartition("/")[0] or ".", name)


def _one_path(name: str) -> str:
    """Returns a path by which a file is known however it is written, as a/../b, ./b or /data/b."""
    return name if is_remote(name) else os.path.abspath(name)  # noqa: PTH100, links are kept


def _rows(path: str, files: Files) -> dict[int, dict[str, str]]:
    """Returns the rows by column, by the number of their line; those without any text are left out.

    Raises DataError for a table without rows, or without the column image.
    """
    if not path.lower().endswith((".csv", ".tsv")):
        raise DataError(f"{path}: expected a table, a .csv or .tsv file, as the root")
    with reading(path, "can't be read as a table; save it as CSV in UTF-8"):
        text = decoded_text(files.using(path, Path.read_bytes))
        delimiter = "\t" if path.lower().endswith(".tsv") else ","
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        stripped = ((lines.line_num, [cell.strip() for cell in line]) for line in lines)
        filled = {number: cells for number, cells in stripped if any(cells)}
    names = filled.pop(min(filled)) if filled else []
    if any(names.count(name) > 1 for name in COLUMNS):
        raise DataError(f"{path}: a column is there twice: {', '.join(names)}")
    for number, cells in filled.items():
        if any(cells[len(names) :]):
            raise DataError(f"{path}, row {number}: more cells than the {len(names)} columns; quote commas")
    rows = {
        number: dict(zip_longest(names, cells[: len(names)], fillvalue=""))
        for number, cells in filled.items()
    }
    if "image" not in names:
        between = "tabs" if delimiter == "\t" else "commas"
        hint = "" if len(names) > 1 else f"; {between} are expected between columns"
        raise DataError(f"{path}: has no column image; it has {', '.join(names) or 'none'}{hint}")
    strange = [name for name in names if name not in COLUMNS and "label" not in names]
    if hints := [name for name in strange if did_you_mean(name, ["label"])]:
        raise DataError(f"{path}: has a column {hints[0]!r} and none called label; rename it")
    if not rows:
        raise DataError(f"{path}: has no rows")
    return rows
