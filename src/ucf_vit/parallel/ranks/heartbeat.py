"""Heartbeats of ranks, and messages that name the ranks which are lost according to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Heartbeat:
    """State of a rank as it was last published.

    `beat` grows with every heartbeat. `count` numbers the activities of a rank, in the same way on all ranks;
    `end` is the reason why the rank left the run, empty as long as it is in it.
    """

    host: str = "host not known"
    beat: int = 0
    count: int = 0
    step: int = 0
    doing: str = "start"
    end: str = ""

    def pack(self) -> str:
        """Returns the heartbeat as text for the store."""
        return json.dumps(asdict(self))

    @staticmethod
    def unpack(text: bytes) -> Heartbeat:
        """Returns the heartbeat that `pack` made into `text`."""
        return Heartbeat(**json.loads(text))


@dataclass(frozen=True)
class RankStatus:
    """Last heartbeat of a rank, when it arrived, and when the rank last made progress.

    Times are in seconds of one clock.
    """

    heartbeat: Heartbeat
    seen_at: float
    progress_at: float

    def update(self, heartbeat: Heartbeat, now: float) -> RankStatus:
        """Returns the status after reading `heartbeat`, which may be the same as before, at time `now`."""
        return RankStatus(
            heartbeat,
            seen_at=self.seen_at if heartbeat.beat == self.heartbeat.beat else now,
            progress_at=self.progress_at if heartbeat.count == self.heartbeat.count else now,
        )


def describe_lost_ranks(
    statuses: Mapping[int, RankStatus], now: float, silence: float, patience: float
) -> str:
    """Returns a message that names the lost ranks; empty if there are none.

    Ranks without a heartbeat for `silence` seconds have died or were stopped. If there are none, ranks that
    have been behind the others for `patience` seconds count as lost.
    """
    running = {rank: status for rank, status in statuses.items() if not status.heartbeat.end}
    silent = [
        describe_silent_rank(rank, status, now)
        for rank, status in running.items()
        if now - status.seen_at > silence
    ]
    if silent:
        return join_texts(silent)
    furthest = max((status.heartbeat.count for status in running.values()), default=0)
    behind = [
        f"{_name(rank, status)} has not come further than {_position(status)} for "
        f"{now - status.progress_at:.0f} s, others have"
        for rank, status in running.items()
        if status.heartbeat.count < furthest and now - status.progress_at > patience
    ]
    return join_texts(behind)


def describe_departed_ranks(statuses: Mapping[int, RankStatus]) -> str:
    """Returns a message that names the ranks that left before the others, and why; empty if none did."""
    departed = {rank: status for rank, status in statuses.items() if status.heartbeat.end}
    return join_texts(
        [
            f"{_name(rank, status)} left at {_position(status)}: {status.heartbeat.end}"
            for rank, status in departed.items()
        ]
    )


def describe_silent_rank(rank: int, status: RankStatus, now: float) -> str:
    """Returns a message about a rank that sends no more heartbeats."""
    return f"{_name(rank, status)} was last seen at {_position(status)}, {now - status.seen_at:.0f} s ago"


def join_texts(texts: list[str], limit: int = 8) -> str:
    """Returns the first `limit` texts in one line, and the number of the others."""
    more = f"; and {len(texts) - limit} more" if len(texts) > limit else ""
    return "; ".join(texts[:limit]) + more


def _name(rank: int, status: RankStatus) -> str:
    return f"rank {rank} ({status.heartbeat.host})"


def _position(status: RankStatus) -> str:
    return f"step {status.heartbeat.step} ({status.heartbeat.doing})"
