"""One part of the measurements: a process with a time limit that prints its results."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, TextIO

from benchmarks.device.results import Results


def run_part(name: str, command: Sequence[str], limit: float, results: Results) -> bool:
    """Run the command of a part for at most `limit` seconds; whether it came to its end.

    Lines of JSON that it prints become results at once, all else goes to its log.
    """
    start = time.monotonic()
    with results.log(name).open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        try:
            follow(process, start + limit, name, results, log)
        finally:
            late = process.poll() is None
            end(process)
    seconds = round(time.monotonic() - start, 1)
    if process.returncode == 0:
        results.add({"part": name, "ended": True, "seconds": seconds})
        return True
    why = f"cut off after {limit:.0f} s" if late else f"failed, see {results.log(name).name}"
    results.add({"part": name, "ended": False, "why": why, "seconds": seconds})
    return False


def follow(
    process: subprocess.Popen[bytes], deadline: float, name: str, results: Results, log: TextIO
) -> None:
    """Until the process ends, or until `deadline` of the monotonic clock."""
    assert process.stdout is not None
    for line in lines_until(process.stdout, deadline):
        if line.startswith("{"):
            results.add({"part": name, **json.loads(line)})
        else:
            log.write(line)
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))


def lines_until(stream: IO[bytes], deadline: float) -> Iterator[str]:
    """Lines of a pipe as they come, up to its end or to `deadline` of the monotonic clock."""
    rest = ""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(stream.fileno(), 65536).decode(errors="replace")
            if not piece:
                break
            *whole, rest = (rest + piece).split("\n")
            yield from (line + "\n" for line in whole)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its session, with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
