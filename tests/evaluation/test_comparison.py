"""Comparisons of methods: differences by hand, names, the page, and classified cases."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from ucf_vit.core.errors import UserError
from ucf_vit.evaluation.cases.classified import ClassifiedCase, ClassifiedCases
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.cases.table import ALL, Scores
from ucf_vit.evaluation.cases.views import Gallery, view_of, view_of_picture
from ucf_vit.evaluation.comparison.compare_results import Comparison, compare_results
from ucf_vit.evaluation.comparison.names import folder_name, method_names
from ucf_vit.evaluation.comparison.write_comparison import write_comparison
from ucf_vit.evaluation.results import Results
from ucf_vit.metrics.classification import overall
from ucf_vit.metrics.policy import RECONSTRUCTION, SEGMENTATION
from ucf_vit.metrics.segmentation import score_case
from ucf_vit.training.evaluation_files import Evaluation, remove_evaluations

NAMES = {1: "liver", 2: "<b>cyst"}


def results(path: Path, scored: Scored | None) -> Results:
    files = (path / "evaluations/test_best.json",)
    return Results(Evaluation(str(path), "2000-01-01", {}, {}), (), files, scored)


def segmented(shifts: list[int], classes: int = 2) -> Scored:
    """Cases whose prediction is moved by that many voxels; class 2 is in none of the labels."""
    scored, gallery = [], Gallery()
    for number, shift in enumerate(shifts):
        label = np.zeros((24, 12, 6), np.int64)
        label[2:12, 2:6] = 1
        ours = np.roll(label, shift, axis=0)
        if number == 0 and classes == 2:
            ours[0, 0, 0] = 2
        scores = score_case(ours, label, classes + 1, (1.0, 1.0, 1.0))
        scored.append((f"<c{number}>", f"p{number // 2}", scores))
        view = view_of(label + 1.0, label, ours, (1.0, 1.0, 1.0), np.diag([-1.0, 1, 1, 1]))
        gallery.offer(f"<c{number}>", scores[0].values["dice"], lambda view=view: view)
    names = {number: NAMES[number] for number in range(1, classes + 1)}
    return Scored(Scores.of_classes(scored, list(names.values()), SEGMENTATION), gallery, names)


def classified(sure: float, cases: int = 24, names: tuple[str, ...] = ("cat", "dog", "emu")) -> Scored:
    generator, gallery, found = np.random.default_rng(int(sure * 100)), Gallery(), []
    for number in range(cases):
        label = ["cat", "dog", "emu"].index(("cat", "dog", "emu")[number % 3])
        shares = generator.dirichlet([1, 1, 1]) * (1 - sure) + sure * np.eye(3)[label]
        order = [("cat", "dog", "emu").index(name) for name in names]
        one = ClassifiedCase.of(f"i{number:02}", f"p{number // 2}", order.index(label), shares[order])
        found.append(one)
        picture = generator.random((3, 20, 30))
        gallery.offer(one.case, float(one.probabilities[one.label]), lambda p=picture: view_of_picture(p))
    return Scored(ClassifiedCases(tuple(found), names), gallery)


def compared(tmp_path: Path, *scored: Scored) -> tuple[Comparison, dict[Path, Results]]:
    found = {tmp_path / name: results(tmp_path / name, one) for name, one in zip("abc", scored, strict=False)}
    return compare_results(found), found


def test_differences_of_means_are_those_of_the_scores(tmp_path: Path) -> None:
    first, second = segmented([0, 1, 2, 3, 0, 1]), segmented([1, 1, 4, 4, 1, 1], classes=1)
    comparison, _ = compared(tmp_path, first, second)
    by_name = {(one.name, one.metric): one for one in comparison.differences}
    dice = [
        np.array([1 - shift / 10 for shift in shifts]) for shifts in ([0, 1, 2, 3, 0, 1], [1, 1, 4, 4, 1, 1])
    ]
    liver = by_name["liver", "dice"]
    assert (liver.of_first, liver.of_second) == pytest.approx((dice[0].mean(), dice[1].mean()))
    assert liver.difference == pytest.approx(dice[0].mean() - dice[1].mean())
    assert (liver.cases, liver.groups, liver.title) == (6, 3, "Dice")
    assert liver.p == 2 / 2**3, "all three groups differ in the same direction"
    cyst = by_name["<b>cyst", "dice"]
    assert (cyst.of_first, cyst.of_second, cyst.cases) == (0, 1, 1), "made up by one method only"
    every = by_name[ALL, "dice"]
    assert every.difference == pytest.approx((liver.difference + cyst.difference) / 2), "mean of classes"
    assert by_name["liver", "hd95"].title == "HD95 (mm)"
    swapped, _ = compared(tmp_path, second, first)
    for one, other in zip(comparison.differences, swapped.differences, strict=True):
        assert other.difference == pytest.approx(-one.difference) and other.p == pytest.approx(one.p)


def test_the_page_shows_pairs_cases_and_where_they_differ(tmp_path: Path) -> None:
    comparison, found = compared(
        tmp_path, segmented([0, 1, 2, 3]), segmented([1, 1, 4, 9]), segmented([1, 1, 2, 9, 5])
    )
    files = write_comparison(comparison, found)
    folder = tmp_path / "a/evaluations/test_best_compared_with_b_c"
    assert {path.name for path in folder.iterdir()} == {path.name for path in files}
    names = {"comparison.csv", "comparison.json", "report.html", "scores.svg", "paired_3_dark.png"}
    assert names | {"case_1_1.png", "case_3_1.svg"} <= {path.name for path in files}
    page = (folder / "report.html").read_text()
    assert "<b>" not in page and "Dice: &lt;b&gt;cyst" in page and "Largest differences: a and c" in page
    assert "1 cases are not in the results of all methods: &lt;c4&gt;" in page
    rows = list(csv.DictReader((folder / "comparison.csv").read_text().splitlines()))
    content = json.loads((folder / "comparison.json").read_text())
    assert len(rows) == len(content["differences"]) == 3 * 3 * len(SEGMENTATION)
    assert content["methods"]["b"] == str(tmp_path / "b") and content["left_out"] == ["<c4>"]
    worst = next(one for one in content["cases"] if (one["first"], one["second"]) == ("a", "b"))
    assert worst["case"] == "<c3>" and worst["of_first"] == pytest.approx(0.7)
    figures = [path.read_bytes() for path in files[3:]]
    assert [path.read_bytes() for path in write_comparison(comparison, found)[3:]] == figures
    (folder / "mine.txt").write_text("not of the comparison")
    remove_evaluations(tmp_path / "a")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_classified_cases_are_compared_by_all_scores(tmp_path: Path) -> None:
    first, second = classified(0.6), classified(0.1, names=("emu", "cat", "dog"))
    comparison, found = compared(tmp_path, first, second)
    by_name = {one.metric: one for one in comparison.differences}
    tables = [one.table for one in (first, second)]
    scores = [overall(one.labels, one.probabilities) for one in tables if isinstance(one, ClassifiedCases)]
    for name, one in by_name.items():
        assert one.difference == pytest.approx(scores[0][name] - scores[1][name]), name
        assert one.low is not None and one.high is not None and -2 <= one.low <= one.high <= 2
        assert one.low <= one.difference <= one.high, name
    accuracy = by_name["accuracy"]
    assert accuracy.difference > 0.2 and accuracy.p < 0.05 and accuracy.low and accuracy.low > 0
    assert (accuracy.cases, accuracy.groups) == (24, 12)
    files = write_comparison(comparison, found)
    assert {"examples_1.png", "paired_1.svg", "scores_dark.png"} <= {path.name for path in files}
    same, _ = compared(tmp_path, first, first)
    assert all(one.p == 1 and one.difference == 0 for one in same.differences)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b: has the classes cat, dog, cow, a cat, dog, emu"):
        broken = ClassifiedCases(classified(0.5).table.cases, ("cat", "dog", "cow"))  # type: ignore[arg-type]
        compared(tmp_path, classified(0.5), Scored(broken, Gallery()))
    with pytest.raises(UserError, match=r"b: i00 has another class than in a"):
        broken = ClassifiedCases(classified(0.5).table.cases, ("dog", "cat", "emu"))  # type: ignore[arg-type]
        compared(tmp_path, classified(0.5), Scored(broken, Gallery()))
    with pytest.raises(UserError, match="a, b: have different scores"):
        compared(tmp_path, classified(0.5), segmented([1]))
    with pytest.raises(UserError, match="a, b: have different scores"):
        compared(tmp_path, segmented([1]), Scored(Scores((), RECONSTRUCTION), Gallery()))
    with pytest.raises(UserError, match="has no scores of single cases"):
        compare_results({tmp_path / "a": results(tmp_path / "a", None)})


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/r/unetr", "/r/sap"], ["unetr", "sap"]),
        (["/r/unetr/best", "/r/sap/best"], ["unetr", "sap"]),
        (["/r/unetr/best", "/r/unetr/last"], ["best", "last"]),
        (["/r/unetr", "/r/unetr/last"], ["unetr", "last"]),
        (["/x/unetr", "/y/unetr"], ["x", "y"]),
        (["/r/a/1", "/r/b/1", "/r/b/2"], ["a/1", "b/1", "b/2"]),
        (["/r/unetr"], ["unetr"]),
    ],
)
def test_methods_have_short_names(paths: list[str], names: list[str]) -> None:
    assert method_names([Path(path) for path in paths]) == names


def test_folders_of_comparisons_are_distinct_and_not_too_long() -> None:
    assert folder_name("test_best", ["a", "b/1", "c d"]) == "test_best_compared_with_b_1_c_d"
    long = [folder_name("files", ["a", "b" * 100, last]) for last in "xy"]
    assert long[0] != long[1] and max(map(len, long)) < 100
