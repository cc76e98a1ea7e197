"""Monitor that names the rank which died or hangs: every rank publishes heartbeats and its position.

A thread of each rank writes heartbeats to the store through which the ranks met; a training step itself only
counts. Rank 0 reads all heartbeats. It publishes a verdict when a rank was silent or behind the others for
too long, or shortly after another rank asks for one because a collective failed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread

import torch.distributed as dist

from ucf_vit.parallel.ranks.heartbeat import (
    Heartbeat,
    RankStatus,
    describe_departed_ranks,
    describe_lost_ranks,
    describe_silent_rank,
)

HEARTBEATS_PER_SECOND = 4096
"""Most heartbeats that all ranks together write to the store in a second."""
REQUEST, VERDICT = "watch/asked", "watch/verdict"
FINISHED = "its run is over"


class LivenessMonitor:
    """Part of one rank in the monitoring, from when the ranks have met until `close`.

    `timeout` is in seconds. A rank that learns of a lost rank calls `give_up(verdict)` in a thread, unless
    its collective has failed already: then `explain` returns the verdict.
    """

    def __init__(
        self, store: dist.Store, rank: int, size: int, timeout: float, give_up: Callable[[str], None]
    ) -> None:
        self.interval = max(min(1.0, timeout / 10), size / HEARTBEATS_PER_SECOND)
        self._timeout = timeout
        self._store, self._rank, self._give_up = store.clone(), rank, give_up
        self._host, self._beat, self._end = socket.gethostname(), 0, ""
        self._position = Heartbeat()
        now = time.monotonic()
        monitored = range(size if rank == 0 else 1)
        self._statuses = {other: RankStatus(Heartbeat(), now, now) for other in monitored}
        self._requested_at = 0.0
        self._explaining = self._closed = False
        self._has_store = True
        self._stopped, self._decided = Event(), Event()
        self._verdict = ""
        self._writer, self._watcher = (
            Thread(target=loop, daemon=True) for loop in (self._exchange, self._watch_rank_0)
        )
        self._publish()
        self._writer.start()
        self._watcher.start()

    def report(self, step: int, doing: str) -> None:
        """Records the current activity of this rank; every rank reports the same ones in the same order."""
        self._position = Heartbeat(count=self._position.count + 1, step=step, doing=doing)

    def explain(self) -> str:
        """Returns which rank is lost after a collective failed.

        Waits a few intervals, in which ranks that are alive send a heartbeat.
        """
        self._explaining = True
        self._decided.wait(12 * self.interval + 1)
        return self._verdict or self._verdict_on_rank_0()

    def close(self, end: str = "") -> None:
        """Stops the threads; `end` is the reason if this rank leaves before the end of the run.

        Rank 0, whose process may hold the store, then waits until the others have read it.
        """
        self._closed = True
        self._end = end or FINISHED
        if self._rank == 0 and end:
            until = time.monotonic() + 6 * self.interval
            while time.monotonic() < until and not self._all_ended():
                time.sleep(self.interval / 4)
        self._stopped.set()
        self._writer.join(4 * self.interval)
        if self._has_store and not self._writer.is_alive():  # otherwise the store hangs
            with suppress(RuntimeError):
                self._publish()

    def _exchange(self) -> None:
        """Publishes and reads heartbeats in a loop; only this thread uses the store, which may hang."""
        try:
            while not self._stopped.wait(self.interval):
                self._publish()
                self._read()
                if self._rank == 0 and not self._verdict and (verdict := self._judge()):
                    self._store.set(VERDICT, verdict)
                    time.sleep(3 * self.interval)  # until the others have read it
                if self._store.check([VERDICT]):
                    self._decide(self._store.get(VERDICT).decode())
        except RuntimeError:
            self._has_store = False

    def _watch_rank_0(self) -> None:
        """Notices when rank 0, and the store with it, is gone: then no heartbeat can be read."""
        while self._rank and not self._stopped.wait(self.interval):
            if time.monotonic() - self._statuses[0].seen_at > self._timeout:
                self._decide(self._verdict_on_rank_0())

    def _publish(self) -> None:
        self._beat += 1
        heartbeat = replace(self._position, host=self._host, beat=self._beat, end=self._end)
        self._store.set(f"watch/{self._rank}", heartbeat.pack())

    def _read(self) -> None:
        texts = self._store.multi_get([f"watch/{rank}" for rank in self._statuses])
        now = time.monotonic()
        self._statuses = {
            rank: self._statuses[rank].update(Heartbeat.unpack(text), now)
            for rank, text in zip(self._statuses, texts, strict=True)
        }
        if self._explaining:
            self._store.set(REQUEST, "")
        if not self._requested_at and self._store.check([REQUEST]):
            self._requested_at = now

    def _judge(self) -> str:
        """Returns the verdict of rank 0; empty as long as there is none."""
        now = time.monotonic()
        failed = {
            rank: status
            for rank, status in self._statuses.items()
            if status.heartbeat.end not in ("", FINISHED)
        }
        if not self._requested_at:
            if self._all_ended():
                return ""
            since = now - 6 * self.interval
            failed_earlier = {rank: status for rank, status in failed.items() if status.seen_at < since}
            lost = describe_lost_ranks(self._statuses, now, self._timeout, self._timeout)
            return lost or describe_departed_ranks(failed_earlier)
        if now - self._requested_at < 4 * self.interval:
            return ""
        silence = 3 * self.interval
        return (
            describe_lost_ranks(self._statuses, now, silence, self._timeout)
            or describe_departed_ranks(failed or self._statuses)
            or describe_lost_ranks(self._statuses, now, silence, 0)
            or f"a collective failed at step {self._position.step} although all ranks are alive and at the "
            "same position: the network failed, or a computation does not end"
        )

    def _all_ended(self) -> bool:
        return all(status.heartbeat.end for status in self._statuses.values())

    def _verdict_on_rank_0(self) -> str:
        if self._statuses[0].heartbeat.end:
            return describe_departed_ranks(self._statuses)
        silent = describe_silent_rank(0, self._statuses[0], time.monotonic())
        return f"{silent}; it holds the store, so nothing is known about the other ranks"

    def _decide(self, verdict: str) -> None:
        if not self._decided.is_set():
            self._verdict = verdict
            self._decided.set()
            if not self._explaining and not self._closed:
                self._give_up(verdict)
