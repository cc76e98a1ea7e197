"""Where a process stands among those of its run, whoever started them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process of a run, as its launcher tells: `rank` of `size`, `local_rank` of `local_size` on its node.

    The processes meet at `master_addr`:`master_port`, where rank 0 is. In a world of one the port is 0.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    master_addr: str
    master_port: int
    launcher: str
