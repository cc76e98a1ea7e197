"""Interface of remote storage behind a URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """File, or `folder`, of a listing.

    `size` is in bytes (UNKNOWN where the listing does not contain it); `version` identifies the current
    contents (ETag, time of change).
    """

    name: str
    folder: bool
    size: int = UNKNOWN
    version: str = ""


class Store(Protocol):
    """Files of one bucket or host. Each call makes one attempt and raises the exceptions of its library."""

    def entries(self, root: str) -> list[Entry]:
        """Returns the entries directly below a directory; none where there is no such directory."""

    def stat(self, url: str) -> Entry:
        """Returns size and version of a file."""

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Returns bytes `start` to `stop`, which must exist."""

    def copy(self, url: str, entry: Entry, out: Path) -> None:
        """Writes the whole file to `out`."""
