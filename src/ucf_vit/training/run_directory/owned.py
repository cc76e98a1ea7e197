"""List of the files that a run has written itself, in its `run.json`; a run replaces no other files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ucf_vit import checkpoint
from ucf_vit.checkpoint.swap_directory import remove
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import clean_up, write_atomic
from ucf_vit.core.files.names import is_file_name
from ucf_vit.training.evaluation_files import FOLDER as EVALUATIONS
from ucf_vit.training.evaluation_files import remove_evaluations
from ucf_vit.training.postprocessing_file import FILE as POSTPROCESSING

FILE, FORMAT = "run.json", 1
PICTURES = "pictures"
OUTPUTS = ("config.yaml", "metrics.jsonl", "log.txt", "report.html", "report.json", "splits.json")
TRACKING = "tracking"
FOLDERS = (TRACKING, "tensorboard")
"""Folders that belong to a run with everything in them."""


@dataclass(frozen=True)
class Owned:
    """Files of a run: `files` are paths relative to `directory`, `checkpoints` names of checkpoints.

    `leaving` is True while all of them are being removed for another run.
    """

    directory: Path
    files: frozenset[str] = frozenset()
    checkpoints: frozenset[str] = frozenset()
    leaving: bool = False

    @classmethod
    def read(cls, directory: Path) -> Owned | None:
        """Reads the list in `directory`; None if there is none. Raises UserError if it is damaged."""
        path = directory / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as cause:
            raise UserError(f"{path}: cannot be read ({cause})") from None
        try:
            files, names = (tuple(map(str, content[key])) for key in ("files", "checkpoints"))
            good = content["format"] == FORMAT and all(map(_is_output, files))
            good = good and all(map(is_file_name, names))
            leaving = content["leaving"] is True
        except (TypeError, LookupError):
            good = False
        if not good:
            raise UserError(f"{path}: no run has written this; name another trainer.checkpoint_path")
        return cls(directory, frozenset(files), frozenset(names), leaving)

    def write(self) -> None:
        """Writes the list to the directory."""
        content = {
            "format": FORMAT,
            "files": sorted(self.files),
            "checkpoints": sorted(self.checkpoints),
            "leaving": self.leaving,
        }
        write_atomic(self.directory / FILE, json.dumps(content, indent=1) + "\n")

    def clean_up(self) -> None:
        """Finishes what a killed process left undone; only the holder of the directory's lock may call it."""
        if self.leaving:
            self.remove()
        for name in (FILE, *self.files):
            clean_up(self.directory / name)
        checkpoint.clean_up(self.directory, *self.checkpoints)

    def existing_checkpoints(self) -> list[Path]:
        """Returns the directories of the checkpoints that exist."""
        return _checkpoints(self.directory, self.checkpoints)

    def remove(self, keep: Iterable[str] = ()) -> None:
        """Removes all files of the run, except those in `keep`.

        A kill in between leaves nothing that could be taken for a run.
        """
        Owned(self.directory, self.files, self.checkpoints, leaving=True).write()
        for one in self.existing_checkpoints():
            remove(one)
        kept = self.files & frozenset(keep)
        for name in self.files - kept:
            path = self.directory / name
            if path.is_file() or path.is_symlink():
                path.unlink()
            elif path.is_dir():
                remove(path)
        remove_evaluations(self.directory)
        (self.directory / POSTPROCESSING).unlink(missing_ok=True)
        for folder in (self.directory / PICTURES, self.directory / EVALUATIONS):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        Owned(self.directory, kept).write()


def claim(directory: Path, *files: str, checkpoints: Iterable[str] = ()) -> None:
    """Adds files and checkpoints to the list of the run in `directory`, before they are written.

    Raises UserError naming those that exist already without being on the list.
    """
    known = Owned.read(directory)
    own = known or Owned(directory)
    new, names = set(files) - own.files, set(checkpoints) - own.checkpoints
    taken = [name for name in sorted({*new, *(() if known else (PICTURES,))}) if _exists(directory / name)]
    taken += [path.name for path in _checkpoints(directory, names)]
    if taken:
        shown = ", ".join(taken)
        raise UserError(
            f"{directory} holds {shown}, which no run has written there and a run would replace; move it, or "
            "name another trainer.checkpoint_path"
        )
    if new or names:
        Owned(directory, own.files | new, own.checkpoints | names).write()


def adopt(directory: Path, checkpoints: Iterable[str]) -> None:
    """Adds `checkpoints` to the list of a resumed run; without a list, makes one of all its outputs."""
    if Owned.read(directory) is None:
        pictures = (f"{PICTURES}/{path.name}" for path in (directory / PICTURES).glob("*"))
        folders = (name for name in FOLDERS if (directory / name).is_dir())
        files = frozenset(filter(_is_output, (*OUTPUTS, *pictures, *folders)))
        Owned(directory, files, frozenset(checkpoints)).write()
    claim(directory, checkpoints=checkpoints)


def _checkpoints(directory: Path, names: Iterable[str]) -> list[Path]:
    """Returns the existing directories of checkpoints with these names."""
    paths: list[Path] = []
    for name in names:
        paths += [directory / name] if name == checkpoint.BEST else checkpoint.slots(directory, name)
        paths += checkpoint.find_kept(directory, name)
    return [path for path in paths if path.is_dir()]


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_output(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name in (*OUTPUTS, *FOLDERS) or (
        folder == PICTURES and is_file_name(file) and file.endswith((".png", ".svg"))
    )
