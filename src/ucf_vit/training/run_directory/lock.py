"""Lock of a run directory: one training at a time, also across nodes and on file systems without locks.

The lock is a directory that is renamed into place, which only one process can do. Its holder increments a
number in it (heartbeat). Another process knows at once whether the holder is gone if it can see the holder's
process, or if SLURM has restarted the holder's job. Otherwise it watches the heartbeat; it never compares the
clocks of two machines.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.parallel.ranks.world import World
from ucf_vit.training.run_directory.holder import Holder

log = logging.getLogger(__name__)
NAME, BEAT = ".run.lock", "beat"
PERIOD = 5.0
"""Seconds between two heartbeats."""
PATIENCE = 60.0
"""Seconds without a heartbeat after which a holder whose process cannot be seen counts as gone."""
TRIES = 100


@contextmanager
def locked(directory: Path, world: World) -> Iterator[Callable[[], None]]:
    """Context in which the main process of `world` holds the lock of `directory` (collective).

    Yields `Lock.check`. Raises UserError naming the process that holds the lock already.
    """
    lock = Lock(directory)
    world.on_main(lock.acquire)
    try:
        yield lock.check
    finally:
        lock.release()


class Lock:
    """Lock of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / NAME
        self.me: Holder | None = None
        self._end = threading.Event()

    def acquire(self) -> None:
        """Takes the lock, even of a holder that is gone. Raises UserError if another process holds it."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.me = Holder.me(self.directory)
            self._take(self.me)
        except OSError as cause:
            self.me = None
            raise UserError(f"{self.directory}: cannot be written ({cause})") from None
        threading.Thread(target=self._beat, args=(self.me,), name="heartbeat", daemon=True).start()

    def check(self) -> None:
        """Raises UserError if another process has taken the lock over because it saw no heartbeat."""
        if self.me is None:
            return
        holder = self._holder()
        if holder is None:
            self._install(self.me)
        elif holder.token != self.me.token:
            raise UserError(f"{self.directory} was taken over by {holder}; nothing more is written there")

    def release(self) -> None:
        """Releases the lock."""
        self._end.set()
        if self.me is None:
            return
        with suppress(OSError, UserError):
            holder = self._holder()
            if holder is not None and holder.token == self.me.token:
                self._move(self.place, self._aside(self.me))
                self._clean_up(self.me)

    def _take(self, me: Holder) -> None:
        after = None
        for _ in range(TRIES):
            if self._install(me):
                self._clean_up(me, after)
                return
            holder = self._holder()
            gone = holder is not None and self._is_gone(holder, me)
            if holder is None or self._holder() != holder:
                time.sleep(PERIOD / 100)
                continue
            if not gone:
                raise UserError(
                    f"{self.directory} is in use: {holder} trains there. Wait for it or end it, or name "
                    "another trainer.checkpoint_path"
                )
            # Move the dead lock aside, under a name that only this holder gives: a process that comes second
            # finds that name taken, so it cannot move the lock that the first process has just installed.
            after = self._aside(holder)
            if self._move(self.place, after) and Holder.read(after) != holder:
                self._move(after, self.place)
        raise self._unreadable("it names no process")

    def _install(self, me: Holder) -> bool:
        own = self.directory / f"{NAME}.{me.token}"
        own.mkdir(parents=True, exist_ok=True)
        me.write(own)
        (own / BEAT).write_text("0")
        if self._move(own, self.place):
            return True
        shutil.rmtree(own, ignore_errors=True)
        return False

    def _is_gone(self, holder: Holder, me: Holder) -> bool:
        gone = holder.is_gone(me)
        if gone is not None:
            return gone
        log.warning("%s: checking for %.0f s whether %s is still alive", self.directory, PATIENCE, holder)
        before, until = self._last_beat(), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            time.sleep(PERIOD / 10)
            if self._last_beat() != before:
                return False
        return True

    def _last_beat(self) -> str:
        try:
            return (self.place / BEAT).read_text()
        except OSError as cause:
            return str(cause)

    def _beat(self, me: Holder) -> None:
        count = 0
        while not self._end.wait(PERIOD):
            count += 1
            with suppress(OSError, ValueError):
                if Holder.read(self.place) == me:
                    (self.place / BEAT).write_text(str(count))

    def _holder(self) -> Holder | None:
        try:
            return Holder.read(self.place)
        except (OSError, ValueError) as cause:
            raise self._unreadable(cause) from None

    def _unreadable(self, cause: object) -> UserError:
        return UserError(
            f"{self.place}: cannot be read ({cause}); remove it if nobody trains in {self.directory}"
        )

    def _aside(self, holder: Holder) -> Path:
        """Returns the path to which the lock of an ended holder is moved."""
        return self.directory / f"{NAME}-{holder.token}"

    def _move(self, source: Path, target: Path) -> bool:
        """Renames `source`; returns False if `target` exists already or `source` does not."""
        try:
            source.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                return False
            raise
        return True

    def _clean_up(self, me: Holder, except_for: Path | None = None) -> None:
        """Removes former locks, and those of processes that were killed before they could install them."""
        for former in self.directory.glob(f"{NAME}-*"):
            if former != except_for:
                shutil.rmtree(former, ignore_errors=True)
        for prepared in self.directory.glob(f"{NAME}.*"):
            with suppress(OSError, ValueError):
                holder = Holder.read(prepared)
                if holder is not None and holder.is_gone(me):
                    shutil.rmtree(prepared, ignore_errors=True)
