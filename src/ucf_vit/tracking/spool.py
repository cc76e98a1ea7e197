"""Append-only file of the events of a run, in the order in which they are delivered.

The file has one JSON object per line. The first one has the token of the file, which identifies the run to
its store; then each process that trains appends "start", its "metrics", files to upload, and "end".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.log import get_logger

FOLDER, EVENTS = "tracking", "events.jsonl"
Event = dict[str, Any]
Seen = set[tuple[str, int]]
"""Kind ("step", "validation") and step of metrics."""
UNREADABLE: Event = {"kind": "unreadable"}
"""Event in place of a line that is not one."""

log = get_logger(__name__)


class Spool:
    """Appends events to the file of a run.

    A disk that is full is no error: lines wait in memory until it takes them again, and a warning says so.

    Args:
        path: the file.
        digest: digest of the config. Steps that are trained again by the same config are the same.
        keep: continue the file of a former process, if there is one.
    """

    def __init__(self, path: Path, digest: str, keep: bool) -> None:
        self.path = path
        former = [event for event, _ in read_events(path)] if keep and path.exists() else []
        self.seen = _seen(former, digest)
        if former:
            _cut_torn_line(path)
        else:
            write_atomic(path, json.dumps({"kind": "begin", "token": uuid.uuid4().hex}) + "\n")
        self._file = path.open("ab", buffering=0)
        self._unwritten = b""
        self._has_warned = False

    def append(self, event: Event) -> None:
        """Writes an event, as one line."""
        self._unwritten += json.dumps(event).encode() + b"\n"
        try:
            while self._unwritten:
                self._unwritten = self._unwritten[self._file.write(self._unwritten) :]
        except OSError as cause:
            if not self._has_warned:
                self._has_warned = True
                log.warning("%s cannot be written (%s): events wait in memory", self.path, cause.strerror)

    def is_new(self, event: str, step: int) -> bool:
        """Returns whether the metrics of a step are not in the file yet, and counts them as written."""
        new = (event, step) not in self.seen
        self.seen.add((event, step))
        return new

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_events(path: Path) -> Iterator[tuple[Event, int]]:
    """Yields the events in a file, each with the offset of its end."""
    with path.open("rb") as file:
        yield from read_on(file, 0)


def read_on(file: IO[bytes], offset: int) -> Iterator[tuple[Event, int]]:
    """Yields the events from `offset` on; a last line that is not complete yet is left for later."""
    file.seek(offset)
    for line in file:
        if not line.endswith(b"\n"):
            return
        offset += len(line)
        yield _parsed(line), offset


def last_start(path: Path) -> Event | None:
    """Returns the event of the last process that trained, None if there is none."""
    starts = [event for event, _ in read_events(path) if event["kind"] == "start"]
    return starts[-1] if starts else None


def _parsed(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return UNREADABLE
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else UNREADABLE


def _seen(events: list[Event], digest: str) -> Seen:
    """Returns the metrics that a run of the config with `digest` need not write again."""
    seen: Seen = set()
    current = ""
    for event in [*events, {"kind": "start", "digest": digest}]:
        if event["kind"] == "start" and event["digest"] != current:
            current = event["digest"]
            seen.clear()
        elif event["kind"] == "metrics":
            seen.add((event["event"], event["step"]))
    return seen


def _cut_torn_line(path: Path) -> None:
    """Removes a last line that a kill cut short; its event is written again."""
    with path.open("r+b") as file:
        end = max((end for _, end in read_on(file, 0)), default=0)
        file.truncate(end)
