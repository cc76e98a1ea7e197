"""`benchmarks/device.sh`: its parts in short form, and results that outlive whatever happens to a part."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch

pytestmark = pytest.mark.deep

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch):
    """Where `benchmarks` can be imported; threads stay as they were."""
    monkeypatch.syspath_prepend(str(ROOT))
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def said(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    monkeypatch.setattr(sys, "argv", [name, "--short"])
    importlib.import_module(f"benchmarks.device.{name}").main()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("machine", {"torch", "python", "tflops", "gb_per_s"}),
        ("vit", {"ms", "images_per_s", "mfu", "tflop_per_step", "ratio_to_timm"}),
        ("mae", {"ms", "images_per_s", "mfu"}),
        ("unetr", {"ours_ms", "monai_ms", "ratio"}),
        ("adaptive", {"images_per_s", "gb_per_s", "share_of_bandwidth"}),
    ],
)
def test_a_part_in_short_form(name, wanted, monkeypatch, capsys):
    results = said(name, monkeypatch, capsys)
    figures = [(key, value) for result in results for key, value in result.items() if key != "name"]
    assert {key for key, _ in figures} == wanted
    assert all(value > 0 for _, value in figures if not isinstance(value, str))


def test_operations_are_those_of_forward_and_backward(monkeypatch):
    from benchmarks.device.measure import operations

    layer, x = torch.nn.Linear(5, 7, bias=False), torch.randn(3, 5, requires_grad=True)
    assert operations(lambda: layer(x)) == 2 * 3 * 5 * 7
    assert operations(lambda: layer(x).sum().backward()) == 3 * 2 * 3 * 5 * 7


def test_the_command_runs_the_parts_that_are_processes(tmp_path: Path) -> None:
    command = [ROOT / "benchmarks/device.sh", "--short", "--only", "memory,training", "--output", tmp_path]
    environment = {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    logs = [path.read_text() for path in tmp_path.glob("*.log")]
    assert done.returncode == 0, (done.stdout, *logs)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines if line.get("ended")] == ["memory", "training"]
    rows = {line["name"]: line for line in lines if "name" in line}
    assert rows["fsdp"]["kept_mib"] == pytest.approx(rows["plain DDP"]["kept_mib"])
    assert rows["cpu, float32"]["difference_of_first_steps"] == 0
    assert 0 < rows["cpu, bfloat16"]["difference_of_first_steps"] < 0.05
    table = (tmp_path / "table.md").read_text().splitlines()
    assert len(table) == 2 + len(lines) and all(line.count("|") == 4 for line in table)


def python(script: str) -> list[str]:
    return [sys.executable, "-u", "-c", script]


def test_output_before_a_cut_off_part_stays(tmp_path: Path) -> None:
    """And nothing that the part started lives on."""
    from benchmarks.device.part import run_part
    from benchmarks.device.results import Results

    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    script = (
        "import json, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print('about to measure'); print(json.dumps({'name': 'first', 'ms': 1.5}))\n"
        "print('{\"name\": \"half a li', end=''); time.sleep(60)"
    )
    results = Results(tmp_path)
    start = time.monotonic()
    assert not run_part("slow", python(script), 1.0, results)
    assert time.monotonic() - start < 10
    first, ended = [json.loads(line) for line in results.lines.read_text().splitlines()]
    assert first == {"part": "slow", "name": "first", "ms": 1.5}
    assert ended["why"] == "cut off after 1 s"
    assert "about to measure" in results.log("slow").read_text()
    assert "| slow | first | ms 1.5 |" in results.table.read_text()
    time.sleep(2.5)
    assert not mark.exists()


def test_a_part_that_fails_names_its_log_and_can_be_run_again(tmp_path: Path) -> None:
    from benchmarks.device.part import run_part
    from benchmarks.device.results import Results

    results = Results(tmp_path)
    assert not run_part("odd", python("raise SystemExit('no such kernel')"), 60, results)
    assert "failed, see odd.log" in results.table.read_text()
    assert "no such kernel" in results.log("odd").read_text()
    results.lines.write_text(results.lines.read_text() + '{"part": "odd", "na')
    again = Results(tmp_path)
    assert run_part("odd", python("""print('{"name": "right"}')"""), 60, again)
    assert len(again.lines.read_text().splitlines()) == 3
    assert "failed" not in again.table.read_text() and "right" in again.table.read_text()


def test_unknown_parts_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.device", "--short", "--only", "mea"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "no part mea; there are machine, tests" in done.stderr


def test_files_with_tests_of_a_gpu_are_found() -> None:
    from benchmarks.device.tests import files

    found = {path.name for path in files()}
    assert {"test_detail.py", "test_attention_backends.py", "test_device_runs.py"} <= found
    assert "test_docs_adaptive.py" not in found


def test_all_parts_fit_into_eight_minutes(tmp_path: Path) -> None:
    from benchmarks.device.__main__ import PARTS

    assert sum(PARTS.values()) <= 480
    assert all((ROOT / "benchmarks/device" / f"{name}.py").is_file() for name in PARTS)
