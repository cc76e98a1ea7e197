"""report.html: everything in one file, escaped, complete or not there."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.drawing import page
from ucf_vit.drawing.curves import draw_curves
from ucf_vit.drawing.page import Table
from ucf_vit.training.evaluation_files import FOLDER, Evaluation, Summary, read_evaluations
from ucf_vit.training.hooks import report
from ucf_vit.training.hooks.jsonl import JsonlHook
from ucf_vit.training.hooks.report import About, ReportHook, environment, read_about, write_report
from ucf_vit.training.hooks.run_summary import run_facts, validation_table

EVIL = "<script>alert('&\"')</script>"
VOID = {"meta", "img", "br", "link", "source"}


class Checker(HTMLParser):
    """Collects what a page holds and insists that its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _state(step: int, total: int = 4) -> Any:
    best = ("dice_mean", "max")
    task = SimpleNamespace(best=best, best_by=lambda metrics: best, definitions=(), titles=lambda names: {})
    return SimpleNamespace(step=step, epoch=step // 2, total_steps=total, steps_per_epoch=2, task=task)


def _run(directory: Path) -> Iterator[Any]:
    """A short run's directory, and its state after each validation."""
    jsonl = JsonlHook(directory)
    jsonl.on_start(_state(0))
    for step, dice in ((2, 0.75), (4, 0.5)):
        state = _state(step)
        jsonl.on_step(state, {"loss": 1.0, "lr": 1e-4, "samples_per_s": 10.0 * step, "data_wait": 0.25})
        jsonl.on_validation(state, {"validation/loss": 1 / step, "validation/dice_mean": dice})
        yield state


def evaluation(**options: Any) -> Evaluation:
    defaults: dict[str, Any] = {
        "title": "Validation",
        "written": "2026-01-01 00:00:00",
        "facts": {"Items": EVIL},
        "metrics": {"unetr": {"dice": 0.5}},
        "items": {"ct": ("case_1", "case_2")},
    }
    return Evaluation(**{**defaults, **options})


def _report(directory: Path, **options: Any) -> Checker:
    path = write_report(directory, About("a run", {"Task": "unetr"}, **options))
    assert path == directory / "report.html"
    return Checker(path.read_text(encoding="utf-8"))


def test_report_of_a_whole_run(tmp_path: Path) -> None:
    list(_run(tmp_path))
    (tmp_path / "config.yaml").write_text(f"trainer:\n  task: {EVIL}\n")
    stamp = "2025-01-01 10:00:00"
    (tmp_path / "log.txt").write_text(f"{stamp} WARNING ucf_vit.data: skipped {EVIL}\n" * 3)
    for name, data in draw_curves([{"step": 1, "loss": 1.0, "lr": 1.0}]).items():
        write_atomic(tmp_path / "pictures" / name, data)
    write_atomic(tmp_path / "pictures" / "example.png", b"\x89PNG")
    evaluation(title=f"Test items {EVIL}", notes=(EVIL,)).write(tmp_path / FOLDER / "test_best.json")
    (tmp_path / FOLDER / "of_another.json").write_text('{"format": "another"}')
    (tmp_path / FOLDER / "cut.json").write_text('{"format": "ucf_vit.evaluation", "tit')
    options = {"definitions": (EVIL,), "environment": {"torch": EVIL}}
    found = _report(tmp_path, best=("dice_mean", "max"), **options)
    assert found.tags["script"] == 0 and found.tags["link"] == 0
    assert len(found.sources) == 3 and all(
        source.startswith("data:image/png;base64,") for source in found.sources
    )
    assert found.text.count(EVIL) == 7
    assert "it was chosen on these items" in found.text
    headings = "Test items, Validation, Curves, Pictures, Warnings, Configuration, Environment"
    values = "0.75 at step 2, best (step 2), last (step 4), Training time, 25%"
    for text in f"{headings}, {values}".split(", "):
        assert text in found.text
    assert found.text.index("loss") < found.text.index("Pictures")
    assert re.search(r"skipped .* \(\S 3\)", found.text)


def test_report_of_an_empty_directory(tmp_path: Path) -> None:
    found = _report(tmp_path / "not" / "there")
    assert "unetr" in found.text
    assert found.tags["h2"] == 0
    assert Checker(write_report(tmp_path, About("")).read_text()).tags["h1"] == 1


def test_report_without_validation(tmp_path: Path) -> None:
    jsonl = JsonlHook(tmp_path)
    jsonl.on_start(_state(0))
    jsonl.on_step(_state(1), {"loss": float("nan")})
    found = _report(tmp_path, best=("dice_mean", "max"))
    assert "Validation" not in found.text
    assert "Steps1" in found.text


def test_hook_writes_at_each_validation_and_at_the_end(tmp_path: Path) -> None:
    hook = ReportHook(tmp_path, title="a run", summary={"Task": "unetr"}, device=torch.device("cpu"))
    for state in _run(tmp_path):
        hook.on_validation(state, {})
        text = Checker((tmp_path / "report.html").read_text()).text
        assert f"{state.step} of 4" in text
        assert torch.__version__.split("+")[0] in text
    (tmp_path / "report.html").unlink()
    hook.on_end(state)
    names = ["metrics.jsonl", "report.html", "report.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_what_an_evaluation_adds_leaves_what_the_training_said(tmp_path: Path) -> None:
    hook = ReportHook(tmp_path, title="unetr", summary={"Processes": "64"}, device=torch.device("cpu"))
    hook.on_end(next(_run(tmp_path)))
    about = read_about(tmp_path)
    assert about == replace(
        hook.about, summary={"Processes": "64", "Steps": "2 of 4"}, best=("dice_mean", "max")
    )
    for number, name in enumerate(("validation_best", "test_best")):
        evaluation(title=name, written=f"2026-01-01 00:00:0{number}").write(
            tmp_path / FOLDER / f"{name}.json"
        )
    found = Checker(write_report(tmp_path, about).read_text())
    assert "Processes" in found.text and "64" in found.text
    assert (
        found.text.index("test_best")
        < found.text.index("validation_best")
        < found.text.index("Curves" if "Curves" in found.text else "Validation")
    )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"title": 3}', '{"title": "a", "best": ["x", "up"]}'])
def test_what_is_no_description_is_none(tmp_path: Path, text: str) -> None:
    assert read_about(tmp_path) is None
    (tmp_path / "report.json").write_text(text)
    assert read_about(tmp_path) is None


def test_evaluations_are_read_as_they_were_written(tmp_path: Path) -> None:
    one = evaluation(metrics={"unetr": {"dice": 0.5, "dice_1": None}, "threshold": {"dice": 0.25}})
    one.write(tmp_path / FOLDER / "a.json")
    assert read_evaluations(tmp_path) == [one]
    assert one.by_metric["dice"] == {"unetr": 0.5, "threshold": 0.25}
    assert math.isnan(one.by_metric["dice_1"]["unetr"])
    assert read_evaluations(tmp_path / "nowhere") == []


def test_best_is_the_best_finite_one() -> None:
    values = (0.5, float("nan"), 0.25, 0.25)
    entries = [
        {"event": "validation", "step": step, "epoch": step, "elapsed": 1.0, "validation/loss": value}
        for step, value in enumerate(values, start=1)
    ]
    assert run_facts(entries, ("loss", "min"))["Best loss"] == "0.25 at step 3"
    assert run_facts(entries, ("loss", "max"))["Best loss"] == "0.5 at step 1"
    assert "Best dice" not in run_facts(entries, ("dice", "max"))
    (table,) = validation_table(entries, ("loss", "min"))
    assert table.rows == {"loss": {"best (step 3)": 0.25, "last (step 4)": 0.25}}
    assert validation_table(entries, None)[0].rows == {"loss": {"last (step 4)": 0.25}}
    assert validation_table(entries, None, {"loss": "loss (all)"})[0].rows.keys() == {"loss (all)"}
    assert validation_table([], ("loss", "min")) == []


@pytest.mark.parametrize(("better", "marked"), [("max", ["0.9"]), ("min", ["0.5"]), (None, [])])
def test_the_best_of_a_column_is_marked(better: Any, marked: list[str]) -> None:
    rows = {"a": {"x": 0.9, "alone": 1.0}, "b": {"x": 0.5}, "c": {"x": float("nan")}, "d": {"x": "text"}}
    text = page.table(Table("", rows, better=better))
    assert re.findall(r'<td class="best">([^<]*)</td>', text) == marked
    assert text.count("&ndash;") == 3


def test_names_of_rows_have_a_heading_and_long_facts_a_row() -> None:
    table = page.table(Table("a <case>", {"x": {"Dice": 1.0}}))
    assert "<th>a &lt;case&gt;</th><th>Dice</th>" in table
    text = page.facts({"Steps": "4", "Data": "scan " * 20})
    assert text.count('class="wide"><dt>Data') == 1 and "<div><dt>Steps" in text


def test_tables_of_an_evaluation_say_which_numbers_they_hold() -> None:
    one = evaluation(
        counts={"dice": {"labelled": 3}},
        summary={"liver": {"dice": Summary(0.9, 0.9, 0.8, 0.95, 3, 3)}},
        titles={"dice": "Dice"},
    )
    headings = re.findall(r"<thead><tr><th>([^<]*)</th>", one.section())
    assert headings == ["metric", "mean (95 % interval)", "numbers of items"]


def test_many_warnings_are_cut_short() -> None:
    text = page.warnings({f"file {number}": 1 for number in range(120)})
    assert text.count("<li>") == 51
    assert "and 70 more in the log" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (12345.0, "12345"), (3, "3"), ("x", "x"), (float("nan"), "nan"), (1e-7, "1e-07")],
)
def test_numbers_as_people_read_them(value: float | str, text: str) -> None:
    assert page.format_number(value) == text


def test_environment_names_versions_and_device() -> None:
    found = environment(torch.device("cpu"))
    assert {"ucf_vit", "torch", "monai", "Python", "System", "Device"} <= set(found)
    assert found["Device"].endswith("CPU")


def test_a_package_that_is_not_installed_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_PACKAGES", ("numpy", "no-such-package"))
    found = environment(torch.device("cpu"))
    assert "numpy" in found and "no-such-package" not in found
    assert found["torch"].startswith(torch.__version__)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_atomic(path, "old")

    def full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
