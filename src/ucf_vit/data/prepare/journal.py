"""Record of the finished jobs of a conversion, from which an interrupted one continues."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import flush, write_atomic
from ucf_vit.data.formats.prepared.manifest import UNFINISHED, Pack
from ucf_vit.data.prepare.write import Done

LOCK = ".prepare.lock"


class Journal:
    """File with one line per job, written when all its files are on disk; the first line identifies the plan.

    Packs are below `packs`, in the folders `owned`. A job without a complete line, or whose files are missing
    or have other sizes, is done again; files of no job are removed.
    """

    def __init__(self, folder: Path, plan: str, packs: Path, owned: Sequence[Path]) -> None:
        self.path = folder / UNFINISHED
        self._packs, self._owned = packs, owned
        self.done: dict[str, Done] = {}
        try:
            self._begin(folder, plan)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{self.path}: damaged ({type(error).__name__}: {error}); remove {folder} and prepare again"
            ) from error

    def _begin(self, folder: Path, plan: str) -> None:
        lines = self._lines()
        strange = [] if lines else sorted(path for owned in self._owned for path in owned.iterdir())
        if strange:
            raise UserError(
                f"{strange[0].parent} is not from a conversion (it has {strange[0].name}); name another "
                "directory"
            )
        if lines and lines[0] != {"plan": plan}:
            raise UserError(
                f"{folder} has a part of other data, or of this data with other options; remove it, or "
                "name another directory"
            )
        for line in lines[1:]:
            one = Done(tuple(map(Pack.of, line["packs"])), tuple((n, cause) for n, cause in line["failed"]))
            if all(_is_there(self._packs, pack) for pack in one.packs):
                self.done[line["job"]] = one
        packs = [pack for one in self.done.values() for pack in one.packs]
        kept = {self._packs / pack.name / name for pack in packs for name in pack.files}
        for owned in self._owned:
            _remove_others(owned, kept)
        text = [json.dumps({"plan": plan}), *(_line(job, one) for job, one in self.done.items())]
        write_atomic(self.path, "".join(f"{line}\n" for line in text).encode())

    def add(self, job: str, one: Done) -> None:
        """Records that a job is done."""
        self.done[job] = one
        with self.path.open("a") as file:
            file.write(f"{_line(job, one)}\n")
        flush(self.path)

    def _lines(self) -> list[dict[str, Any]]:
        """Returns all complete lines; a killed process leaves at most the last one incomplete."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def locked_journal(folder: Path) -> Iterator[None]:
    """Locks `folder` against other processes. Raises UserError where another one writes there."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another ucf-vit prepare is writing there") from None
        yield
        (folder / LOCK).unlink(missing_ok=True)


def _remove_others(folder: Path, kept: Collection[Path]) -> None:
    """Removes the files below a folder that are not kept, and folders that become empty."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):  # not empty
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _line(job: str, one: Done) -> str:
    return json.dumps({"job": job, "packs": [asdict(pack) for pack in one.packs], "failed": one.failed})


def _is_there(folder: Path, pack: Pack) -> bool:
    files = ((folder / pack.name / name, size) for name, (size, _) in pack.files.items())
    return all(path.is_file() and path.stat().st_size == size for path, size in files)
