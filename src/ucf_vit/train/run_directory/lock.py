"""One training at a time in a directory, also from several nodes, and on file systems that lock nothing.

The lock is a directory that is renamed into its place, which the file system lets one process do. Its holder
shows that it lives by a number that it counts up. Whether a holder is gone is known at once where its process
can be seen, or where SLURM has started its job anew; elsewhere the number is watched, so that no clock of two
machines is compared.
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
from ucf_vit.train.run_directory.holder import Holder

log = logging.getLogger(__name__)
NAME, BEAT = ".run.lock", "beat"
PERIOD = 5.0
"""Seconds between two signs of life."""
PATIENCE = 60.0
"""Seconds without one, after which a holder that cannot be seen is gone."""
TRIES = 100


@contextmanager
def locked(directory: Path, world: World) -> Iterator[Callable[[], None]]:
    """A context in which the first process of `world` is the only one to train in `directory` (collective).

    Gives what checks that this is still so, see `Lock.check`. Raises UserError with who trains there.
    """
    lock = Lock(directory)
    world.on_main(lock.acquire)
    try:
        yield lock.check
    finally:
        lock.release()


class Lock:
    """The lock of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = directory / NAME
        self.me: Holder | None = None
        self._end = threading.Event()

    def acquire(self) -> None:
        """Take the lock, from a holder that is gone too. UserError where somebody has it."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.me = Holder.me(self.directory)
            self._take(self.me)
        except OSError as cause:
            self.me = None
            raise UserError(f"{self.directory}: cannot be written ({cause})") from None
        threading.Thread(target=self._beat, args=(self.me,), name="sign of life", daemon=True).start()

    def check(self) -> None:
        """UserError where another process has taken the lock, having seen no sign of life of this one."""
        if self.me is None:
            return
        holder = self._holder()
        if holder is None:
            self._install(self.me)
        elif holder.token != self.me.token:
            raise UserError(f"{self.directory} was taken over by {holder}; nothing more is written there")

    def release(self) -> None:
        """Give the lock back."""
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
            # Who comes second finds this in the way, and cannot move the lock of who came first.
            after = self._aside(holder)
            if self._move(self.place, after) and Holder.read(after) != holder:
                self._move(after, self.place)
        raise self._unreadable("it names nobody")

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
        log.warning("%s: looking for %.0f s whether %s still lives", self.directory, PATIENCE, holder)
        before, until = self._pulse(), time.monotonic() + PATIENCE
        while time.monotonic() < until:
            time.sleep(PERIOD / 10)
            if self._pulse() != before:
                return False
        return True

    def _pulse(self) -> str:
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
        """Where the lock of a holder goes when it ends."""
        return self.directory / f"{NAME}-{holder.token}"

    def _move(self, source: Path, target: Path) -> bool:
        """Whether the rename could be done; not where `target` is there or `source` is not."""
        try:
            source.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                return False
            raise
        return True

    def _clean_up(self, me: Holder, kept: Path | None = None) -> None:
        """Remove locks of before, but `kept`, and those that were killed before they could take it."""
        for left in self.directory.glob(f"{NAME}-*"):
            if left != kept:
                shutil.rmtree(left, ignore_errors=True)
        for left in self.directory.glob(f"{NAME}.*"):
            with suppress(OSError, ValueError):
                holder = Holder.read(left)
                if holder is not None and holder.is_gone(me):
                    shutil.rmtree(left, ignore_errors=True)
