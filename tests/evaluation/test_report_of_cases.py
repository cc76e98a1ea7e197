"""The page of an evaluation: what it shows, that it needs no other file, and its figures."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.files.urls import is_remote
from ucf_vit.evaluation.cases.classified import ClassifiedCase, ClassifiedCases
from ucf_vit.evaluation.cases.record import Scored
from ucf_vit.evaluation.cases.table import Scores
from ucf_vit.evaluation.cases.views import Gallery, view_of, view_of_picture
from ucf_vit.evaluation.report.write_cases import write_cases
from ucf_vit.metrics.policy import SEGMENTATION
from ucf_vit.metrics.segmentation import score_case
from ucf_vit.training.evaluation_files import Evaluation

EVALUATION = Evaluation("run on <test> items", "2000-01-01", {"Items": "4"}, {})


def segmented(shape: tuple[int, ...], cases: int = 9) -> Scored:
    """Cases whose prediction is moved by 0, 1, ... voxels."""
    scored, gallery = [], Gallery()
    for shift in range(cases):
        label = np.zeros(shape, np.int64)
        label[2:12, 2:6], label[2:12, 6:9] = 1, 3
        ours = np.roll(label, shift, axis=0)
        scores = score_case(ours, label, 4, (1.0,) * len(shape))
        scored.append((f"<c{shift}>", "", scores))
        view = view_of(label + 1.0, label, ours, (1.0,) * len(shape))
        dice = float(np.mean([one.values["dice"] for one in scores if one.values]))
        gallery.offer(f"<c{shift}>", dice, lambda view=view: view)
    names = {1: "liver", 2: "cyst", 3: "</script><b>"}
    return Scored(Scores.of_classes(scored, list(names.values()), SEGMENTATION), gallery, names)


def test_the_page_of_volumes_is_complete_and_needs_no_other_file(tmp_path: Path) -> None:
    files = write_cases(tmp_path, EVALUATION, segmented((24, 12, 6)))
    assert all(path.is_file() for path in files) and {path.name for path in files} == {
        path.name for path in tmp_path.iterdir()
    }
    page = (tmp_path / "report.html").read_text()
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "<script" not in outside and "<b>" not in outside and "&lt;c0&gt;" in outside
    for source in re.findall(r'(?:src|href|srcset)="([^"]*)"', outside):
        assert source.startswith("data:image/png;base64,") or not is_remote(source)
    assert "A dot is a case" in outside
    for title, case in {"worst": "c8", "median": "c4", "best": "c0"}.items():
        assert f"{title}: &lt;{case}&gt;, Dice" in outside
    data = json.loads(re.search(r'id="volumes">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert data["colours"]["labels"] == ["background", "liver", "cyst", "</script><b>"]
    assert data["colours"]["A"] == [0, 255, 255, 255] and len(data["cases"]) == 7
    content = gzip.decompress(base64.b64decode(data["cases"][-1]["prediction"]))
    best = nibabel.Nifti1Image.from_bytes(content)
    assert best.shape == (24, 12, 6) and np.unique(best.dataobj).tolist() == [0, 1, 3]
    assert len(page) < 6_000_000


@pytest.mark.deep
def test_pictures_have_no_viewer_and_figures_are_reproducible(tmp_path: Path) -> None:
    first = write_cases(tmp_path / "a", EVALUATION, segmented((24, 12)))
    again = write_cases(tmp_path / "b", EVALUATION, segmented((24, 12)))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert "niivue" not in (tmp_path / "a/report.html").read_text()
    assert (tmp_path / "a/scores.svg").read_text().startswith("<?xml")
    names = {path.name for path in first}
    assert {"scores.png", "scores_dark.png", "case_1_worst.png", "case_4_median.svg"} <= names


def test_classified_images_have_examples_and_a_confusion_matrix(tmp_path: Path) -> None:
    generator, gallery, cases = np.random.default_rng(0), Gallery(), []
    for number in range(12):
        label = number % 3
        shares = generator.dirichlet([1, 1, 1]) * 0.4 + 0.6 * np.eye(3)[label]
        cases.append(ClassifiedCase.of(f"i{number:02}.png", f"p{number % 4}", label, shares))
        picture = generator.random((3, 20, 30))
        gallery.offer(f"i{number:02}.png", float(shares[label]), lambda p=picture: view_of_picture(p))
    cases[0] = ClassifiedCase.of("i00.png", "p0", 0, np.full(3, np.nan))
    assert cases[0].broken and cases[0].probabilities[0] == 0
    table = ClassifiedCases(tuple(cases), ("cat", "dog", "emu"))
    files = write_cases(tmp_path, EVALUATION, Scored(table, gallery))
    assert {"confusion.png", "examples.svg", "scores.csv"} <= {path.name for path in files}
    with Image.open(tmp_path / "examples.png") as examples:
        saturated = np.ptp(np.asarray(examples.convert("RGB")).astype(int), axis=-1) > 60
    assert saturated.mean() > 0.1, "pictures in colour"
    page = (tmp_path / "report.html").read_text()
    assert "Confusion matrix" in page and "AUROC" in page
    summary = table.summary()["all classes"]
    assert summary["accuracy"].mean == pytest.approx(11 / 12)
    low, high = summary["accuracy"].low, summary["accuracy"].high
    assert low is not None and high is not None and low <= 11 / 12 <= high
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "case,group,class,predicted,correct,p(cat),p(dog),p(emu)" and len(lines) == 13
