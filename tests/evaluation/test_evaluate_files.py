"""`ucf-vit evaluate --predictions --labels`, and comparisons of several methods."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ucf_vit.cli.main import app
from ucf_vit.core.errors import DataError, UserError
from ucf_vit.metrics.statistics.permutation import holm, paired_p_values

AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
COMPARISON = "o/evaluations/files_compared_with_theirs/comparison.json"


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.uint8), affine), path)


def case(shift: int = 0, classes: tuple[int, ...] = (1, 2)) -> np.ndarray:
    values = np.zeros((16, 14, 8))
    for number in classes:
        values[2 + shift : 8 + shift, 4 * number - 2 : 4 * number + 2, 2:5] = number
    return values


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Labels of p1_a, p1_b, p2_a and p3_a; predictions of all but the last, which are moved by one voxel."""
    for name, classes in {"p1_a": (1, 2), "p1_b": (1,), "p2_a": (1, 2), "p3_a": (1, 2)}.items():
        save(tmp_path / f"labels/{name}.nii.gz", case(0, classes))
        if name != "p3_a":
            save(tmp_path / f"ours/{name}.nii", case(1))
    return tmp_path


def rows(place: Path) -> dict[tuple[str, str], dict[str, str]]:
    table = csv.DictReader((place / "evaluations/files/scores.csv").read_text().splitlines())
    return {(row["case"], row["class"]): row for row in table}


def test_files_are_scored_by_name(folders: Path) -> None:
    said = call(
        "--predictions", folders / "ours", "--labels", folders / "labels", "--classes", "liver,tumour",
        "--groups", r"(p\d)",
    )  # fmt: skip
    assert "1 of 4 cases have no prediction: p3_a" in said
    found = rows(folders / "ours")
    assert found["p1_a", "liver"]["kind"] == "both" and found["p1_a", "liver"]["group"] == "p1"
    assert float(found["p1_a", "liver"]["dice"]) == pytest.approx(2 * 5 / 12)
    assert float(found["p1_a", "liver"]["hd95_mm"]) == 1.0
    assert float(found["p1_a", "liver"]["volume_labelled_ml"]) == pytest.approx(6 * 4 * 3 * 3 / 1000)
    assert found["p1_b", "tumour"]["kind"] == "only predicted"
    assert found["p3_a", "liver"]["kind"] == found["p3_a", "tumour"]["kind"] == "missed"
    assert float(found["p3_a", "liver"]["hd95_mm"]) == pytest.approx(np.linalg.norm([16, 14, 24]))
    results = json.loads((folders / "ours/evaluations/files.json").read_text())
    assert results["facts"]["Not evaluated"] == "1"
    assert results["counts"]["tumour"] == {"labelled": 3, "missed": 1, "only predicted": 1, "neither": 0}
    summary = results["summary"]["liver"]["dice"]
    assert summary["mean"] == pytest.approx(3 / 4 * 2 * 5 / 12)
    assert (summary["cases"], summary["groups"]) == (4, 3)
    assert (folders / "ours/report.html").is_file()
    again = call("--predictions", folders / "ours", "--labels", folders / "labels")
    assert "4 cases" in again, "its own report is no prediction"


def test_names_come_from_the_files_of_predict_and_of_nnunet(folders: Path) -> None:
    listed = [{"number": n, "name": name} for n, name in enumerate(["background", "liver", "tumour", "cyst"])]
    (folders / "ours/classes.json").write_text(json.dumps(listed))
    call("--predictions", folders / "ours", "--labels", folders / "labels", "--output", folders / "o")
    kinds = {name: row["kind"] for (one, name), row in rows(folders / "o").items() if one == "p1_a"}
    assert kinds == {"liver": "both", "tumour": "both", "cyst": "neither"}
    (folders / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "organ": 1}}))
    with pytest.raises(DataError, match=r"p1_a\.nii\.gz: holds class 2, which has no name"):
        call(
            "--predictions",
            folders / "ours",
            "--labels",
            folders / "labels",
            "--classes",
            folders / "dataset.json",
        )


def test_files_that_cannot_be_compared_are_named(folders: Path) -> None:
    ours = ["--labels", folders / "labels", "--predictions", folders / "ours"]
    save(folders / "ours/p2_a.nii", case()[:-1])
    with pytest.raises(DataError, match=r"p2_a\.nii: has the shape \(15, 14, 8\), its .* \(16, 14, 8\)"):
        call(*ours)
    save(folders / "ours/p2_a.nii", case(), AFFINE + np.eye(4, k=3) * 5)
    with pytest.raises(DataError, match=r"p2_a\.nii: lies elsewhere in space than its label"):
        call(*ours)
    (folders / "ours/p2_a.nii").unlink()
    save(folders / "ours/p1_a.nii.gz", case())
    with pytest.raises(DataError, match=r"has the same name as .*p1_a\.nii"):
        call(*ours)
    with pytest.raises(UserError, match="no file has the name of a label"):
        (folders / "empty").mkdir()
        save(folders / "empty/x.nii", case())
        call("--labels", folders / "labels", "--predictions", folders / "empty")
    with pytest.raises(UserError, match="belong together"):
        call("--labels", folders / "labels", folders)
    with pytest.raises(UserError, match="name either a run or --predictions"):
        call()


def test_arguments_that_fit_nothing_are_refused(folders: Path) -> None:
    ours = ["--labels", folders / "labels", "--predictions", folders / "ours"]
    for pattern, said in (
        ("p(", "expected a regular expression"),
        ("p.", "with one group"),
        ("(p)(.)", "has 2"),
    ):
        with pytest.raises(UserError, match=said):
            call(*ours, "--groups", pattern)
    with pytest.raises(UserError, match=r"--images .*gone: no such directory"):
        call(*ours, "--images", folders / "gone")
    save(folders / "ours/p2_a.nii", np.stack([case(), case()], axis=-1))
    with pytest.raises(DataError, match=r"p2_a\.nii: has 2 channels; expected class numbers in one"):
        call(*ours)


def test_a_class_that_one_method_makes_up_counts_against_it(folders: Path) -> None:
    for path in (folders / "ours").iterdir():
        values = case(2)
        values[-1, -1, -1] = 5
        save(folders / "theirs" / path.name, values)
    call(
        "--predictions", folders / "ours", "--predictions", folders / "theirs",
        "--labels", folders / "labels", "--output", folders / "o",
    )  # fmt: skip
    found = json.loads((folders / COMPARISON).read_text())["differences"]
    (made_up,) = [one for one in found if (one["name"], one["metric"]) == ("class 5", "dice")]
    assert made_up["difference"] == 1 and made_up["cases"] == len(list((folders / "ours").iterdir()))


def test_pictures_and_ignored_values(tmp_path: Path) -> None:
    label = np.zeros((20, 30), np.uint8)
    label[4:10, 4:10], label[10:12] = 1, 255
    for folder, values in {"labels": label, "ours": np.where(label == 255, 1, label)}.items():
        (tmp_path / folder).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / folder / "a.png")
    call("--predictions", tmp_path / "ours", "--labels", tmp_path / "labels", "--ignore", 255)
    (row,) = rows(tmp_path / "ours").values()
    assert float(row["dice"]) == 1 and float(row["area_labelled_mm2"]) == 36


def test_two_methods_are_compared_on_the_same_cases(folders: Path) -> None:
    for path in (folders / "ours").iterdir():
        save(folders / "theirs" / path.name, case(2))
    said = call(
        "--predictions", folders / "ours", "--predictions", folders / "theirs",
        "--labels", folders / "labels", "--output", folders / "o",
    )  # fmt: skip
    assert "p (Holm)" in said
    found = json.loads((folders / COMPARISON).read_text())["differences"]
    by_name = {(one["name"], one["metric"]): one for one in found}
    one = by_name["class 1", "dice"]
    assert one["difference"] == pytest.approx(3 / 4 * (2 * 5 / 12 - 2 * 4 / 12))
    assert one["p"] == pytest.approx(2 * 2 / 2**4), "3 of 4 cases differ, all in the same direction"
    assert by_name["class 2", "dice"]["cases"] == 4 and one["adjusted"] == 1
    assert {path.name for path in (folders / "o").iterdir()} == {"1_ours", "2_theirs", "evaluations"}


def test_p_values_are_those_of_all_exchanges() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, (9, 2))
    real = np.abs(differences.sum(axis=0))
    all_sums = np.array([np.abs(np.array(s) @ differences) for s in product((1, -1), repeat=9)])
    expected = (all_sums >= real - 1e-12).mean(axis=0)
    assert paired_p_values(differences) == pytest.approx(expected)
    assert paired_p_values(np.zeros((5, 1))).tolist() == [1.0]
    many = np.random.default_rng(1).normal(0.1, 1, (40, 1))
    z = many.mean() / (many.std(ddof=1) / np.sqrt(40))
    assert paired_p_values(many)[0] == pytest.approx(2 * (1 - 0.5 * (1 + np.tanh(0.8 * abs(z)))), abs=0.03)
    assert paired_p_values(np.full((40, 1), 1.0))[0] == pytest.approx(1 / 100_001)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
