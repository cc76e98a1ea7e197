"""Lists the files that belong to a data set, by one rule for all sources; others are counted and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ucf_vit.core.errors import DataError
from ucf_vit.core.lists import first_few
from ucf_vit.core.text import one_form
from ucf_vit.core.threads import map_in_threads
from ucf_vit.data.storage import Files, is_remote, join

SHOWN = 3
HIDDEN, OTHER, FOLDERS, AGAIN = "hidden", "other files", "folders", "links to what is read already"
_JUNK = ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")
"""Files that operating systems and storage devices create in the folders of a user."""


class PassedOver:
    """Number of files of each kind that belong to no item, and the first few names."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        """Counts a file or folder."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        first = self._first.setdefault(kind, [])
        if len(first) < SHOWN:
            first.append(name)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __str__(self) -> str:
        """Returns a text such as `2 hidden (.a, .b), 9 other files (notes.txt, ...)`."""
        return ", ".join(
            f"{count} {kind} ({first_few(self._first[kind], SHOWN, count)})"
            for kind, count in self._counts.items()
        )


class Member(NamedTuple):
    """File of a listing: `name` is its path below the listed folder, with Unicode characters composed."""

    name: str
    path: str


class Listing:
    """Lists the files of one data set, local or remote; `passed_over` counts the files that do not belong to
    it.

    Hidden files and files created by operating systems never belong to it. Links to folders are followed; no
    folder is read twice, however many links point to it.
    """

    def __init__(self, root: str, files: Files) -> None:
        self.root = root
        self.passed_over = PassedOver()
        self._files = files

    def members(self, folder: str, suffixes: Sequence[str], *, deep: bool = False) -> list[Member]:
        """Returns the files in `folder` of the root, with `deep` also below it, that end in one of
        `suffixes`.

        Upper and lower case are the same. Raises MissingError where there is no such folder.
        """
        ends = tuple(suffixes)
        return self.walk(folder, lambda name: name.lower().endswith(ends), deep=deep)

    def walk(
        self, folder: str, belongs: Callable[[str], bool], *, deep: bool = False, stores: Sequence[str] = ()
    ) -> list[Member]:
        """Returns the files whose names `belongs` accepts, sorted; folders that end in one of `stores` count
        as files.
        """
        members: list[Member] = []
        top = join(self.root, *filter(None, [folder]))
        seen: set[object] = {_identity(top)}
        level = [Member("", top)]
        while level:
            listed = map_in_threads(lambda place: self._files.entries(place.path), level)
            inner: list[Member] = []
            for place, entries in zip(level, listed, strict=True):
                for entry in entries:
                    one = Member(place.name + one_form(entry.name), _below(place.path, entry.name))
                    if is_hidden(entry.name):
                        self._pass(HIDDEN, folder, one)
                    elif entry.folder and not suffix_of(entry.name, stores):
                        inner.append(Member(f"{one.name}/", one.path))
                    elif belongs(entry.name):
                        members.append(one)
                    else:
                        self._pass(OTHER, folder, one)
            level = self._new(inner, folder, seen) if deep else []
            for one in inner if not deep else ():
                self._pass(FOLDERS, folder, one)
        members.sort()
        for one, other in pairwise(members):
            if one.name == other.name:
                raise DataError(f"{one.path} and {other.path}: one name in two forms of Unicode; rename one")
        return members

    @property
    def more(self) -> str:
        """Addition to an error message when no file was found: what was passed over."""
        return f"; passed over: {self.passed_over}" if self.passed_over else ""

    def beside(self, known: Sequence[str]) -> None:
        """Passes over everything in the root besides the folders `known`, where the root can be listed."""
        try:
            entries = self._files.entries(self.root)
        except DataError:
            return
        for entry in entries:
            if entry.name not in known:
                kind = HIDDEN if is_hidden(entry.name) else FOLDERS if entry.folder else OTHER
                self.passed_over.add(kind, one_form(entry.name) + ("/" if entry.folder else ""))

    def _new(self, folders: Sequence[Member], folder: str, seen: set[object]) -> list[Member]:
        """Returns the folders that were not read before; real folders precede links to them."""
        new = []
        for one in sorted(folders, key=lambda one: (_is_link(one.path), one.name)):
            identity = _identity(one.path)
            if identity is not None and identity in seen:
                self._pass(AGAIN, folder, one)
            else:
                seen.add(identity)
                new.append(one)
        return sorted(new)

    def _pass(self, kind: str, folder: str, one: Member) -> None:
        self.passed_over.add(kind, f"{folder}/{one.name}" if folder else one.name)


def suffix_of(name: str, suffixes: Sequence[str]) -> str:
    """Returns the longest of `suffixes` (in lower case) that `name` ends in; empty if there is none."""
    fitting = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return max(fitting, key=len, default="")


def stem(name: str, suffixes: Sequence[str]) -> str:
    """Returns `name` without its suffix."""
    return name[: len(name) - len(suffix_of(name, suffixes))]


def is_hidden(name: str) -> bool:
    """Returns whether a file is hidden, or was created by an operating system."""
    return name.startswith(".") or name in _JUNK


def _below(folder: str, name: str) -> str:
    """Returns the same as `join`, faster for the millions of files of a local folder."""
    return join(folder, name) if is_remote(folder) else f"{folder}/{name}"


def _identity(path: str) -> tuple[int, int] | None:
    """Returns a key that is the same for all paths to one local folder; None where there is none."""
    if is_remote(path):
        return None
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _is_link(path: str) -> bool:
    return not is_remote(path) and Path(path).is_symlink()
