"""Memory and time of fsdp_size 1 beside plain DDP and plain FSDP2, on one GPU."""

from __future__ import annotations

import os
import socket

from benchmarks.device.measure import is_short, say
from benchmarks.parallel import join, leave, measure


def main() -> None:
    """Print a line per layout; MiB."""
    short = is_short()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    for row in measure(short, 3 if short else 15, join()):
        say(row.name, ms=row.ms, ratio=row.ratio, kept_mib=row.kept, step_mib=row.peak)
    leave()


if __name__ == "__main__":
    main()
