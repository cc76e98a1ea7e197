"""Where files are, behind a URL: what every kind of remote storage can do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a `folder`, as a listing shows it: its `size` in bytes (UNKNOWN where the listing does not
    say) and what names its present content (ETag, time of change)."""

    name: str
    folder: bool
    size: int = UNKNOWN
    version: str = ""


class Store(Protocol):
    """Files of one bucket or host. A call is one attempt, and raises what the library behind it does."""

    def entries(self, root: str) -> list[Entry]:
        """What lies directly below a directory; none where there is no such directory."""

    def stat(self, url: str) -> Entry:
        """Size and version of a file."""

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`, which the file has."""

    def copy(self, url: str, entry: Entry, out: Path) -> None:
        """Write the whole file to `out`."""
