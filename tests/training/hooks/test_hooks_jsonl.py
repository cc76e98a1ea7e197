"""metrics.jsonl: strict JSON, flushed, no step twice after a resume."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.training.hooks.jsonl import JsonlHook, read_metrics


def _state(step: int) -> Any:
    return SimpleNamespace(step=step, epoch=step // 4)


def _train(directory: Path, start: int, stop: int, validate_every: int = 4) -> None:
    hook = JsonlHook(directory)
    hook.on_start(_state(start))
    for step in range(start + 1, stop + 1):
        hook.on_step(_state(step), {"step": step, "epoch": 0, "loss": 1.0 / step})
        if step % validate_every == 0:
            hook.on_validation(_state(step), {"validation/loss": 2.0 / step})


def _strict(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_lines_are_strict_json_and_there_at_once(tmp_path: Path) -> None:
    hook = JsonlHook(tmp_path)
    hook.on_start(_state(0))
    metrics = {"loss": math.nan, "grad_norm": math.inf, "lr": 1e-4, "extra": torch.tensor(0.5), "count": 3}
    hook.on_step(_state(7), metrics)
    (line,) = _strict(tmp_path / "metrics.jsonl")
    assert {key: line[key] for key in ("event", "step", "epoch")} == {"event": "step", "step": 7, "epoch": 1}
    assert (line["loss"], line["grad_norm"], line["lr"], line["extra"]) == (None, None, 1e-4, 0.5)
    assert line["count"] == 3
    assert math.isnan(read_metrics(tmp_path / "metrics.jsonl")[0]["loss"])


@settings(max_examples=30)
@given(killed=st.integers(1, 30), back=st.integers(0, 30), torn=st.integers(0, 40))
def test_no_step_twice_and_none_missing_after_a_resume(
    tmp_path_factory: pytest.TempPathFactory, killed: int, back: int, torn: int
) -> None:
    directory = tmp_path_factory.mktemp("run")
    path = directory / "metrics.jsonl"
    _train(directory, 0, killed)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "step", "step": 31, "loss": 0.25}'[:torn])
    start = max(0, killed - back)
    _train(directory, start, 32)
    resumed = [(line["event"], line["step"]) for line in _strict(path)]
    steps = [("step", step) for step in range(1, 33)]
    validations = [("validation", step) for step in range(4, 33, 4)]
    assert sorted(resumed) == sorted(steps + validations)


def test_elapsed_goes_on_after_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"event": "step", "step": 1, "epoch": 0, "elapsed": 100.0, "loss": 1.0}\n')
    _train(tmp_path, 1, 2)
    assert 100.0 <= read_metrics(path)[-1]["elapsed"] < 500.0


def test_a_repeated_step_is_written_once(tmp_path: Path) -> None:
    hook = JsonlHook(tmp_path)
    hook.on_start(_state(0))
    for _ in range(2):
        hook.on_step(_state(1), {"loss": 1.0})
        hook.on_validation(_state(1), {"validation/loss": 1.0})
    assert [line["event"] for line in read_metrics(tmp_path / "metrics.jsonl")] == ["step", "validation"]


def test_a_new_run_starts_with_an_empty_file(tmp_path: Path) -> None:
    _train(tmp_path, 0, 3)
    JsonlHook(tmp_path).on_start(_state(0))
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("end", [b"", b"{", b'{"step": 2', b'{"step": 2, "loss": 0.5}', b"\0\0\0", b"12"])
def test_a_torn_last_line_is_left_out(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + end)
    whole = [{"step": 2, "loss": 0.5}] if end.endswith(b"}") else []
    assert read_metrics(path) == [{"step": 1}, *whole]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nrubbish\n{"step": 3}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2"):
        read_metrics(path)


def test_no_file_has_no_metrics(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
