"""The tests that need a GPU (marked `gpu`); without one they are collected and skipped."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.device.measure import is_short, say

TESTS = Path(__file__).parents[2] / "tests"


MARKS = ("pytest.mark.gpu", "from devices import")


def files() -> list[Path]:
    """The files that have such tests."""
    found = sorted(TESTS.rglob("test_*.py"))
    return [path for path in found if any(mark in path.read_text() for mark in MARKS)]


class Outcomes:
    """Prints each failure when it happens, and counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for setup, call and teardown of each test."""
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1
        if report.failed:
            say(report.nodeid.replace("|", "/"), outcome="failed")


def main() -> int:
    """Run them; files without such tests are not even imported, so that few packages are needed."""
    is_short()
    outcomes = Outcomes()
    options = ["-m", "gpu", "-q", "--capture=no", "-p", "no:cacheprovider", "--tb=short"]
    status = pytest.main([*options, *map(str, files())], plugins=[outcomes])
    say("all", **outcomes.counts)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
