"""Rank of a process, independent of its launcher."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process of a run: `rank` of `size` processes, `local_rank` of the `local_size` on its node.

    Rank 0 listens at `master_addr`:`master_port`; for a single process the port is 0.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    master_addr: str
    master_port: int
    launcher: str
