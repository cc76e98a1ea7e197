"""Names the rank that died or hangs: every rank shows the others that it lives, and where in the run it is.

A thread of each rank leaves a sign in the store by which the ranks met; a training step itself only counts.
Rank 0 reads all signs and gives a verdict when a rank was silent or behind the others for too long, or soon
after some rank asks because a collective failed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread

import torch.distributed as dist

from ucf_vit.parallel.ranks.heartbeat import Heard, Sign, judge, left, lost

SIGNS_PER_SECOND = 4096
"""What one store is asked to take, whatever the number of ranks."""
ASKED, VERDICT = "watch/asked", "watch/verdict"
DONE = "its run is over"


class Watch:
    """This rank's part in it, from when the ranks have met until `close`.

    `timeout` is in seconds. A rank that learns of a lost one ends by `give_up(verdict)`, called in a thread,
    unless its collective has failed already: then `explain` returns the verdict.
    """

    def __init__(
        self, store: dist.Store, rank: int, size: int, timeout: float, give_up: Callable[[str], None]
    ) -> None:
        self.interval = max(min(1.0, timeout / 10), size / SIGNS_PER_SECOND)
        self._timeout = timeout
        self._store, self._rank, self._give_up = store.clone(), rank, give_up
        self._host, self._beat, self._end = socket.gethostname(), 0, ""
        self._position = Sign()
        now = time.monotonic()
        self._heard = {other: Heard(Sign(), now, now) for other in range(size if rank == 0 else 1)}
        self._asked = 0.0
        self._explaining = self._closed = False
        self._has_store = True
        self._stopped, self._decided = Event(), Event()
        self._verdict = ""
        self._talker, self._listener = (
            Thread(target=work, daemon=True) for work in (self._talk, self._listen)
        )
        self._show()
        self._talker.start()
        self._listener.start()

    def at(self, step: int, doing: str) -> None:
        """What this rank does now, in words; every rank says the same in the same order."""
        self._position = Sign(count=self._position.count + 1, step=step, doing=doing)

    def explain(self) -> str:
        """After a failed collective: who is lost. The living have a few intervals to show themselves."""
        self._explaining = True
        self._decided.wait(12 * self.interval + 1)
        return self._verdict or self._without_store()

    def close(self, end: str = "") -> None:
        """Stop; `end` says why this rank leaves before the end of the run.

        Rank 0, which may keep the store, then stays until the others have seen it.
        """
        self._closed = True
        self._end = end or DONE
        if self._rank == 0 and end:
            until = time.monotonic() + 6 * self.interval
            while time.monotonic() < until and not all(of.sign.end for of in self._heard.values()):
                time.sleep(self.interval / 4)
        self._stopped.set()
        self._talker.join(4 * self.interval)
        if self._has_store and not self._talker.is_alive():  # else the store hangs
            with suppress(RuntimeError):
                self._show()

    def _talk(self) -> None:
        """The only user of the store, which may be gone or hang."""
        try:
            while not self._stopped.wait(self.interval):
                self._show()
                self._read()
                if self._rank == 0 and not self._verdict and (verdict := self._judge()):
                    self._store.set(VERDICT, verdict)
                    time.sleep(3 * self.interval)  # until the others know
                if self._store.check([VERDICT]):
                    self._decide(self._store.get(VERDICT).decode())
        except RuntimeError:
            self._has_store = False

    def _listen(self) -> None:
        """Rank 0 may be what is lost, and the store with it: then nothing is heard any more."""
        while self._rank and not self._stopped.wait(self.interval):
            if time.monotonic() - self._heard[0].at > self._timeout:
                self._decide(self._without_store())

    def _show(self) -> None:
        self._beat += 1
        sign = replace(self._position, host=self._host, beat=self._beat, end=self._end)
        self._store.set(f"watch/{self._rank}", sign.pack())

    def _read(self) -> None:
        signs = self._store.multi_get([f"watch/{rank}" for rank in self._heard])
        now = time.monotonic()
        self._heard = {
            rank: self._heard[rank].then(Sign.unpack(text), now)
            for rank, text in zip(self._heard, signs, strict=True)
        }
        if self._explaining:
            self._store.set(ASKED, "")
        if not self._asked and self._store.check([ASKED]):
            self._asked = now

    def _judge(self) -> str:
        """The verdict of rank 0; empty as long as there is none."""
        now = time.monotonic()
        failed = {rank: of for rank, of in self._heard.items() if of.sign.end not in ("", DONE)}
        if not self._asked:
            if all(of.sign.end for of in self._heard.values()):
                return ""
            since = now - 6 * self.interval
            long_ago = {rank: of for rank, of in failed.items() if of.at < since}
            return judge(self._heard, now, self._timeout, self._timeout) or left(long_ago)
        if now - self._asked < 4 * self.interval:
            return ""
        quiet = 3 * self.interval
        return (
            judge(self._heard, now, quiet, self._timeout)
            or left(failed or self._heard)
            or judge(self._heard, now, quiet, 0)
            or f"a collective failed at step {self._position.step} although all ranks live and came as far: "
            "the network, or a computation that does not end"
        )

    def _without_store(self) -> str:
        if self._heard[0].sign.end:
            return left(self._heard)
        return lost(0, self._heard[0], time.monotonic()) + "; it keeps the store, so the others are not known"

    def _decide(self, verdict: str) -> None:
        if not self._decided.is_set():
            self._verdict = verdict
            self._decided.set()
            if not self._explaining and not self._closed:
                self._give_up(verdict)
