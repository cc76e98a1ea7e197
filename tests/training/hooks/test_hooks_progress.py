"""Progress: greppable lines without a terminal, a bar with one, and an honest time left."""

import io
import logging
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ucf_vit.training.hooks.progress import ProgressHook, duration

METRICS = {
    "step": 10,
    "epoch": 0,
    "loss": 0.123456,
    "lr": 1e-4,
    "grad_norm": 2.0,
    "samples_per_s": 51.234,
    "data_wait": 0.031,
    "accuracy": 0.5,
}


def _state(step: int = 0, total: int = 100, per_epoch: int = 25) -> Any:
    return SimpleNamespace(
        step=step, epoch=step // per_epoch, total_steps=total, steps_per_epoch=per_epoch, shift=0
    )


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="ucf_vit")
    return caplog


def test_one_greppable_line_per_logged_step(lines: pytest.LogCaptureFixture) -> None:
    hook, state = ProgressHook(), _state()
    hook.on_start(state)
    state.step = 26
    hook.on_step(state, METRICS)
    hook.on_validation(state, {"validation/loss": 0.5, "validation/dice_1": float("nan")})
    hook.on_end(state)
    started, step, validation, finished = lines.messages
    assert started == "started: 100 steps, 25 per epoch"
    assert step == (
        "step=26/100 epoch=2/4 loss=0.1235 lr=1.00e-04 grad_norm=2 samples_per_s=51.23 data_wait=3% "
        "accuracy=0.5 eta=-:--:--"
    )
    assert validation == "validation step=26 epoch=0 loss=0.5 dice_1=nan"
    assert re.fullmatch(r"finished at step 26 after 0:00:0\d", finished)


def test_time_left_after_a_resume_counts_this_process_alone(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    hook, state = ProgressHook(), _state(step=500, total=1000)
    hook.on_start(state)
    for state.step in (510, 520, 530):
        now += 20.0
        hook.on_step(state, {"loss": 1.0})
    assert lines.messages[0].startswith("resumed at step 500")
    etas = [message.split("eta=")[1] for message in lines.messages[1:]]
    assert etas == ["-:--:--", "0:16:00", "0:15:40"]


def test_without_a_terminal_a_line_is_shown_every_ten_seconds(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has them all; the first and the last step are always shown."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    hook, state = ProgressHook(), _state(total=8)
    hook.on_start(state)
    for state.step in range(1, 9):
        hook.on_step(state, {"loss": 1.0})
        now += 4.0
    shown = [not getattr(record, "file_only", False) for record in lines.records[1:]]
    assert shown == [True, False, False, True, False, False, True, True]


def test_no_time_is_left_at_the_last_step(lines: pytest.LogCaptureFixture) -> None:
    hook, state = ProgressHook(), _state(total=1, per_epoch=1)
    hook.on_start(state)
    state.step = 1
    hook.on_step(state, {"loss": 1.0})
    assert "step=1/1 epoch=1/1 loss=1 eta=0:00:00" in lines.messages


@pytest.mark.parametrize("width", [80, 200])
def test_a_bar_on_a_terminal_and_the_lines_in_the_file_only(
    lines: pytest.LogCaptureFixture, width: int
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    hook, state = ProgressHook(console), _state(total=250_000)
    hook.on_start(state)
    state.step = 100_000
    hook.on_step(state, {**METRICS, "samples_per_s": 1234.5})
    hook.on_end(state)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    text = "100000/250000 1234/s  wait 3%  loss 0.1235  lr 1.00e-04  eta -:--:--"
    assert text in shown
    assert shown.endswith("\x1b[?25h"), "the cursor comes back"
    assert lines.records[1].file_only  # type: ignore[attr-defined]


def test_a_run_that_breaks_gives_the_terminal_back() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    hook = ProgressHook(console)
    hook.on_start(_state())
    del hook
    assert console.file.getvalue().endswith("\x1b[?25h")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05"), (360000, "100:00:00")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
