"""What ranks show of themselves, and what follows from it: who is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Sign:
    """What a rank last showed.

    `count` numbers what it did, in the same way on all ranks; `beat` grows with every sign; `end` is why it
    left, if it did.
    """

    host: str = "host not known"
    beat: int = 0
    count: int = 0
    step: int = 0
    doing: str = "start"
    end: str = ""

    def pack(self) -> str:
        """As a text for the store."""
        return json.dumps(asdict(self))

    @staticmethod
    def unpack(text: bytes) -> Sign:
        """Inverse of `pack`."""
        return Sign(**json.loads(text))


@dataclass(frozen=True)
class Heard:
    """A rank's last sign, when it came, and when the rank came to where it is, in seconds of one clock."""

    sign: Sign
    at: float
    moved: float

    def then(self, sign: Sign, now: float) -> Heard:
        """With what was read `now`, which may be the same sign."""
        return Heard(
            sign,
            at=self.at if sign.beat == self.sign.beat else now,
            moved=self.moved if sign.count == self.sign.count else now,
        )


def judge(heard: Mapping[int, Heard], now: float, silence: float, patience: float) -> str:
    """Which ranks are lost, in words; empty if none are.

    Those that showed nothing for `silence` seconds have died or were stopped. If there are none: those that
    stay behind the furthest for `patience` seconds.
    """
    running = {rank: of for rank, of in heard.items() if not of.sign.end}
    silent = [lost(rank, of, now) for rank, of in running.items() if now - of.at > silence]
    if silent:
        return listed(silent)
    furthest = max((of.sign.count for of in running.values()), default=0)
    behind = [
        f"{name(rank, of)} has not come further than {place(of)} for {now - of.moved:.0f} s, others have"
        for rank, of in running.items()
        if of.sign.count < furthest and now - of.moved > patience
    ]
    return listed(behind)


def left(heard: Mapping[int, Heard]) -> str:
    """Which ranks left before the others, and why; empty if none did."""
    gone = {rank: of for rank, of in heard.items() if of.sign.end}
    return listed([f"{name(rank, of)} left at {place(of)}: {of.sign.end}" for rank, of in gone.items()])


def lost(rank: int, heard: Heard, now: float) -> str:
    """A rank that shows nothing any more."""
    return f"{name(rank, heard)} was last seen at {place(heard)}, {now - heard.at:.0f} s ago"


def name(rank: int, heard: Heard) -> str:
    """A rank, and where it runs."""
    return f"rank {rank} ({heard.sign.host})"


def place(heard: Heard) -> str:
    """How far a rank came."""
    return f"step {heard.sign.step} ({heard.sign.doing})"


def listed(texts: list[str], most: int = 8) -> str:
    """In one line; of a lost node or cabinet only some."""
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
