"""Delivers the events of a run to its store: in order, each once, for as long as it takes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal

from ucf_vit.core.errors import UserError, brief
from ucf_vit.tracking.mlflow_run import MOST_METRICS, MlflowRun, RunLostError
from ucf_vit.tracking.progress import Progress
from ucf_vit.tracking.spool import EVENTS, FOLDER, Event, last_start, read_events, read_on
from ucf_vit.tracking.store import Store, redacted
from ucf_vit.tracking.uploads import NotYetError, clean_up, upload

Say = Callable[[Literal["info", "warning"], str], None]
"""Function that tells the user something."""
LOCK = "delivery.lock"
POLL, LONGEST = 0.5, 30.0
"""Seconds between looks at the file, and between tries if the store does not answer, at most."""
WINDOW = 1000
"""Events that are read at a time."""
REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST")
"""Errors by which MLflow says that a request is wrong, so that the same one can never succeed."""


class Delivery:
    """Delivery of one run. Only one process delivers a run at a time, in the context `alone`.

    Args:
        directory: directory of the run.
        say: tells the user when the store is gone, and when it is back.

    `pause` is the time in seconds to wait before the next `attempt`, 0 if the last one succeeded.
    """

    def __init__(self, directory: Path, say: Say) -> None:
        self.directory, self.folder = directory, directory / FOLDER
        start = last_start(self.folder / EVENTS)
        if start is None:
            raise UserError(f"{self.folder / EVENTS}: no training has started there")
        clean_up(directory)
        self.say = say
        self.store = Store.of(start["store"], directory)
        self.store.check(start["plain_http"])
        self._file = (self.folder / EVENTS).open("rb")
        token = next(read_on(self._file, 0))[0].get("token", "")
        self.progress = Progress.read(self.folder, token, start["store"], start["experiment"])
        self._saved = self.progress
        self.has_ended = False
        self.pause = 0.0
        self._run: MlflowRun | None = None
        self._gone_since: float | None = None

    def follow(self, is_training: Callable[[], bool]) -> None:
        """Delivers until the training has said that it ends, or has ended; then tries once more."""
        while True:
            last = not is_training()
            everything = self.attempt()
            if everything and (self.has_ended or last):
                if not self.has_ended:
                    self._mark_killed()
                return
            if last:
                return
            until = time.monotonic() + (self.pause or POLL)
            while time.monotonic() < until and is_training():
                time.sleep(min(POLL, max(0.0, until - time.monotonic())))

    def attempt(self) -> bool:
        """Delivers what there is; returns whether that was everything. Errors are only told."""
        try:
            self._deliver()
        except RunLostError as lost:
            self.say("warning", f"{lost}: a new one gets all metrics, from the first step on")
            self.progress, self._run = self.progress.without_run(), None
            self._save()
            return False
        except NotYetError:
            self.pause = 2 * POLL
            return False
        except Exception as cause:  # whatever it is, it is tried again
            self._failed(cause)
            return False
        self._save()
        return True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _deliver(self) -> None:
        while window := list(islice(read_on(self._file, self.progress.offset), WINDOW)):
            os.fsync(self._file.fileno())  # nothing is delivered that the file could lose
            run = self._opened()
            if window[0][0]["kind"] == "metrics":
                self._deliver_metrics(run, _batch(window))
            else:
                event, end = window[0]
                later = {name for other, _ in window[1:] for name in other.get("files", ())}
                self._deliver_other(run, event, later)
                self._commit(end)
                self._save()
            self._worked()
        self._worked()

    def _opened(self) -> MlflowRun:
        if self._run is None:
            run = MlflowRun(self.store, self.progress.run_id)
            if run.run_id:
                run.check()
            self._run = run
        return self._run

    def _deliver_metrics(self, run: MlflowRun, batch: list[tuple[Event, int]]) -> None:
        """Sends metrics. It is first noted on disk what is sent, so that it is compared after a failure."""
        end, compare = batch[-1][1], self.progress.offset < self.progress.sending
        self.progress = replace(self.progress, sending=max(end, self.progress.sending))
        self._save()
        self._log_or_leave_out(run, [event for event, _ in batch], compare)
        self._commit(end)

    def _log_or_leave_out(self, run: MlflowRun, events: list[Event], compare: bool) -> None:
        """Logs metrics. Those that the store refuses for good are named and left out."""
        try:
            run.log_metrics(events, compare)
        except Exception as cause:
            if getattr(cause, "error_code", "") not in REFUSED:
                raise
            run.check()
            if len(events) > 1:
                half = len(events) // 2
                self._log_or_leave_out(run, events[:half], True)
                self._log_or_leave_out(run, events[half:], True)
            else:
                self._left_out(f"metrics of step {events[0]['step']}", cause)

    def _deliver_other(self, run: MlflowRun, event: Event, later: set[str]) -> None:
        """Delivers an event that is no metrics; files that occur `later` again are left for then."""
        kind = event["kind"]
        self.has_ended = kind == "end"
        if kind == "start":
            run.start(event, self.progress.token)
            self.progress = replace(self.progress, run_id=run.run_id)
        elif kind == "end":
            run.set_tags(event["tags"])
            run.end(event["status"], event["time"])
        elif kind == "unreadable":
            self.say("warning", f"{self.folder / EVENTS}: left out a line that cannot be read")
        else:
            try:
                upload(self.directory, run, event, later)
            except UserError as cause:
                self._left_out(f"{kind} of step {event['step']}", cause)

    def _left_out(self, subject: str, cause: Exception) -> None:
        self.say("warning", f"{subject} left out: {redacted(brief(cause))}")

    def _commit(self, end: int) -> None:
        self.progress = replace(self.progress, offset=end, sending=max(end, self.progress.sending))

    def _save(self) -> None:
        if self.progress != self._saved:
            self.progress.write(self.folder)
            self._saved = self.progress

    def _mark_killed(self) -> None:
        with suppress(Exception):
            if self.progress.run_id:
                self._opened().end("KILLED")

    def _failed(self, cause: Exception) -> None:
        self._run = None
        self.pause = min(LONGEST, 2 * self.pause or 1.0)
        if self._gone_since is None:
            self._gone_since = time.monotonic()
            self.say(
                "warning",
                f"{self.store.place}: does not take the run ({redacted(brief(cause))}); training goes on, "
                f"and what is not delivered waits in {self.folder}",
            )

    def _worked(self) -> None:
        self.pause = 0.0
        if self._gone_since is not None:
            seconds = time.monotonic() - self._gone_since
            self._gone_since = None
            self.say("info", f"{self.store.place}: takes the run again, after {seconds:.0f} s")


def _batch(window: list[tuple[Event, int]]) -> list[tuple[Event, int]]:
    """Returns the metrics at the beginning of a window, as many as fit one request; at least one event."""
    batch: list[tuple[Event, int]] = []
    number = 0
    for event, end in takewhile(lambda one: one[0]["kind"] == "metrics", window):
        number += len(event["metrics"])
        if batch and number > MOST_METRICS:
            break
        batch.append((event, end))
    return batch


def undelivered(directory: Path) -> int:
    """Returns the number of events of a run that are not delivered."""
    path = directory / FOLDER / EVENTS
    start = last_start(path)
    if start is None:
        return 0
    token = next(read_events(path))[0].get("token", "")
    progress = Progress.read(directory / FOLDER, token, start["store"], start["experiment"])
    with path.open("rb") as file:
        return sum(event["kind"] != "begin" for event, _ in read_on(file, progress.offset))


@contextmanager
def alone(directory: Path, may_wait: Callable[[], bool]) -> Iterator[bool]:
    """Context in which no other process delivers the run; yields False if `may_wait()` ended before.

    On a file system without locks there is none: deliver from one machine at a time there.
    """
    with (directory / FOLDER / LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not may_wait():
                    yield False
                    return
                time.sleep(POLL / 5)
                continue
            except OSError:
                pass
            yield True
            return
