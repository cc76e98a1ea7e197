"""Tables of cases: the policy over several cases, their summary, their files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.evaluation.cases.summary import summarise
from ucf_vit.evaluation.cases.table import ALL, Scores, read_scores
from ucf_vit.evaluation.cases.views import LIMIT, Gallery, View, view_of
from ucf_vit.metrics.policy import SEGMENTATION
from ucf_vit.metrics.segmentation import score_case
from ucf_vit.tasks import dice

NAMES = ("liver", "tumour")


def study(cases: list[tuple[np.ndarray, np.ndarray]]) -> Scores:
    scored = [
        (f"c{n}", f"p{n}", score_case(ours, label, 3, (1.0, 2.0))) for n, (ours, label) in enumerate(cases)
    ]
    return Scores.of_classes(scored, NAMES, SEGMENTATION)


def volumes(seed: int, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Label maps of different shapes; some classes are in none of both maps."""
    generator = np.random.default_rng(seed)
    cases = []
    for _ in range(number):
        shape = generator.integers(3, 9, 2)
        present = generator.choice([0, 1, 2], size=2)
        cases.append(tuple(generator.choice([0, *range(1, most + 1)], shape) for most in present))
    return cases


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from((1, 2)), st.data())
def test_no_further_miss_or_false_structure_improves_a_score(
    seed: int, number: int, data: st.DataObject
) -> None:
    cases = volumes(seed, 4)
    before = summarise(study(cases))
    at = data.draw(st.integers(0, 3))
    ours, label = (array.copy() for array in cases[at])
    if (label == number).any():
        ours[ours == number] = 0
    elif not (ours == number).any():
        ours[0, 0] = number if not ours[0, 0] else ours[0, 0]
    after = summarise(study([*cases[:at], (ours, label), *cases[at + 1 :]]))
    for metric, one in SEGMENTATION.items():
        was, now = (some[NAMES[number - 1]].get(metric) for some in (before, after))
        if was is None or now is None:
            assert was is None
        elif one.better == "max":
            assert now.mean <= was.mean + 1e-12 and now.median <= was.median + 1e-12, metric
        else:
            assert now.mean >= was.mean - 1e-12 and now.median >= was.median - 1e-12, metric


def test_means_and_counts_are_those_of_the_validation() -> None:
    cases = volumes(3, 12)
    scores = study(cases)
    totals = sum(dice.totals_of_labels(torch.tensor(a)[None], torch.tensor(b)[None], 3) for a, b in cases)
    means, summary = dice.means(totals), summarise(scores)
    assert summary["liver"]["dice"].mean == pytest.approx(means["dice_1"])
    assert summary["tumour"]["dice"].mean == pytest.approx(means["dice_2"])
    assert summary[ALL]["dice"].mean == pytest.approx(means["dice"])
    assert scores.counts == dict(zip(NAMES, dice.counts(totals).values(), strict=True))
    assert min(scores.counts["tumour"].values()) > 0, "the test has cases of each kind"
    one = summary["liver"]["dice"]
    assert one.low is not None and one.high is not None and one.low < one.mean < one.high


def test_false_structures_are_as_far_as_the_largest_image_is_wide() -> None:
    small, large = np.zeros((3, 3), int), np.zeros((30, 40), int)
    marked = small.copy()
    marked[0, 0] = 1
    rows = study([(marked, small), (large, large)]).rows
    assert rows[0].kind == "only predicted"
    assert rows[0].values["hd95"] == pytest.approx(np.hypot(30, 80))
    assert study([(small, marked)]).rows[0].values["hd95"] == pytest.approx(np.hypot(3, 6))


def test_files_hold_the_table(tmp_path: Path) -> None:
    scores = study(volumes(1, 5))
    table, kept = scores.write(tmp_path)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 10 and {"case", "group", "class", "kind", "dice", "hd95_mm"} <= set(rows[0])
    assert [row["class"] for row in rows[:2]] == list(NAMES)
    for row, one in zip(rows, scores.rows, strict=True):
        assert (row["dice"] == "") == (one.kind == "neither")
        assert row["dice"] == "" or float(row["dice"]) == one.values["dice"]
    assert "NaN" not in kept.read_text() and json.loads(kept.read_text())["rows"]
    assert read_scores(tmp_path) == scores


def test_gallery_keeps_the_worst_and_best_and_something_about_the_median() -> None:
    order = np.random.default_rng(0).permutation(100)
    galleries = [Gallery(), Gallery()]
    for n, score in enumerate(order.tolist()):
        galleries[n % 2].offer(f"c{score}", float(score), lambda: View(None, None, None, ()))
    chosen = Gallery.merged(galleries).chosen(50.0)
    assert [one.score for title, one in chosen if title == "worst"] == [0, 1, 2]
    assert [one.score for title, one in chosen if title == "best"] == [97, 98, 99]
    (middle,) = (one.score for title, one in chosen if title == "median")
    assert abs(middle - 50) < 10


def test_large_views_are_cropped_and_thinned_out() -> None:
    label = np.zeros((300, 200, 100), np.int64)
    label[100:150, 50:80, 20:40] = 2
    view = view_of(label.astype(float), label, label, (1.0, 1.0, 3.0))
    assert view.label is not None and view.label.size < 50 * 30 * 20 * 4 and (view.label == 2).sum() == 30_000
    assert view.remark == "cropped to its classes" and view.origin[0] == 94
    everywhere = np.ones((200, 200, 200), np.int64)
    view = view_of(None, everywhere, everywhere, (1.0, 1.0, 3.0))
    assert view.label is not None and view.label.size <= LIMIT and view.spacing == (2.0, 2.0, 6.0)
    assert "one of 2 voxels" in view.remark
