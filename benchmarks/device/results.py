"""Results as they come: one JSON line each, and a table for people."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Result = dict[str, Any]
"""The `part` it belongs to, the `name` of what was measured, and its figures; or how a part ended."""


class Results:
    """Writes `results.jsonl` line by line and `table.md` after each, into `directory`.

    Of an earlier call the lines stay, and a part that is run again takes their place in the table.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.lines = directory / "results.jsonl"
        self.table = directory / "table.md"
        self.found = read(self.lines)
        self._begun: set[str] = set()

    def log(self, part: str) -> Path:
        """Where all else goes that a part says."""
        return self.directory / f"{part}.log"

    def add(self, result: Result) -> None:
        """Write one result, to the disk and to the terminal."""
        if result["part"] not in self._begun:
            self._begun.add(result["part"])
            self.found = [one for one in self.found if one["part"] != result["part"]]
        self.found.append(result)
        with self.lines.open("a") as file:
            file.write(json.dumps(result) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new = self.table.with_suffix(".new")
        new.write_text(markdown(self.found))
        new.replace(self.table)
        print(f"{result['part']:10} {' '.join(cells(result)[1:])}", flush=True)


def read(file: Path) -> list[Result]:
    """The results of a file; a last line that was cut off does not count."""
    if not file.exists():
        return []
    *whole, cut = file.read_text().split("\n")
    if cut:
        file.write_text("".join(line + "\n" for line in whole))
    return [json.loads(line) for line in whole]


def markdown(results: list[Result]) -> str:
    """A table with a row per result."""
    rows = [["part", "measured", "result"], ["---"] * 3, *map(cells, results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cells(result: Result) -> list[str]:
    """Part, name and figures of a result as they are shown."""
    if "ended" in result:
        return [result["part"], "", f"{result.get('why', 'done')} ({result['seconds']} s)"]
    figures = {key: value for key, value in result.items() if key not in ("part", "name")}
    return [
        result["part"],
        result["name"],
        ", ".join(f"{key} {shown(value)}" for key, value in figures.items()),
    ]


def shown(value: Any) -> str:
    """Fractions with four digits, all else as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
