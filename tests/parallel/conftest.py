"""A table at the end: how far every network on every layout is from one process."""

from __future__ import annotations

from typing import Any

import pytest

WORST = pytest.StashKey[dict[tuple[str, str], float]]()


@pytest.fixture
def worst(request: pytest.FixtureRequest) -> dict[tuple[str, str], float]:
    """The largest relative error by case and layout, to be filled in."""
    return request.config.stash.setdefault(WORST, {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what was filled in."""
    found = config.stash.get(WORST, {})
    if not found:
        return
    layouts = list(dict.fromkeys(layout for _, layout in found))
    cases = list(dict.fromkeys(case for case, _ in found))
    width = max(map(len, cases))
    terminalreporter.section("largest relative error to one process: losses, gradients, norms, weights")
    terminalreporter.write_line(" " * width + "".join(f"  {layout:>17}" for layout in layouts))
    for case in cases:
        errors = (found.get((case, layout)) for layout in layouts)
        cells = ("" if error is None else f"{error:.1e}" for error in errors)
        terminalreporter.write_line(f"{case:<{width}}" + "".join(f"  {cell:>17}" for cell in cells))
