"""Runs by `data.split`, which is written beside the run and into its checkpoints, and used from there."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import runs
from ucf_vit.config import from_dict, load
from ucf_vit.core.errors import ConfigError, DataError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.evaluation import EvaluationRequest, evaluate_run
from ucf_vit.training.inputs.datasets import build_datasets

FLAT = {"tile_size": [16, 16], "depth": 1, "default_vars": ["i"]}


def images(root: Path, *names: str) -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name in names:
        noise = np.random.default_rng([*name.encode()])
        np.save(root / f"images/{name}.npy", noise.random((16, 16), np.float32))
    return root


def config_of(path: Path, root: Path, **data: Any) -> Path:
    data = {"dataset": "npy_pairs", "dict_end_idx": {}, "groups": {"tiny": r"(p\d+)_"}, **data}
    return runs.write_config(path, "masked", root, trainer={"max_epochs": 1}, model=FLAT, data=data)


def keys(config: Path, split: Any, *overrides: str) -> set[str]:
    datasets = build_datasets(load(config, overrides), Scratch(), split, statistics=False)
    return {item.key for one in datasets for item in one.items}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans of each of ten patients."""
    return images(tmp_path / "data", *(f"p{n}_{side}" for n in range(10) for side in "lr"))


def test_a_run_keeps_its_splits_when_files_are_added(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = {"validation": 0.2, "test": 0.2, "seed": 4}
    config = config_of(tmp_path / "c.yaml", scans, split=split)
    runs.train(config)
    out = tmp_path / "out"
    written = json.loads((out / "splits.json").read_text())
    found = written["datasets"]["tiny"]
    assert {name: len(found[name]) for name in ("training", "validation", "test")} == {
        "training": 12,
        "validation": 4,
        "test": 4,
    }
    assert found["groups"]["p3_l"] == "p3" and written["about"]["seed"] == 4
    for split_name in ("training", "validation", "test"):
        assert keys(config, split_name) == set(found[split_name])
    images(scans, *(f"p{n}_x" for n in (0, 77, 78)))
    (out / "splits.json").unlink()
    runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    assert (
        "tiny: 3 item(s) came after the splits were made and are in none of them: p0_x, p77_x" in caplog.text
    )
    for split_name, count in (("validation", 4), ("test", 4)):
        evaluate_run(out, EvaluationRequest(split=split_name))
        results = json.loads((out / f"evaluations/{split_name}_best.json").read_text())
        assert set(results["items"][f"tiny ({scans})"]) == set(found[split_name]) and count == len(
            found[split_name]
        )
    with pytest.raises(ConfigError, match=r"data\.split.*were made with .*\"seed\": 4"):
        evaluate_run(out, EvaluationRequest(), ["data.split.seed=5"])
    assert len(keys(config, "training") | keys(config, "validation") | keys(config, "test")) == 23


def test_splits_without_validation_or_training(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "folds.json"
    file.write_text(json.dumps([{"train": ["p0_l"], "val": []}, {"train": ["p99_l"], "val": ["p0_l"]}]))
    config = config_of(tmp_path / "c.yaml", scans, split={"kind": "given", "file": str(file)})
    assert keys(config, "training") == {"p0_l"}
    assert "data.split: no item validates, so that none chooses the best checkpoint" in caplog.text
    with pytest.raises(ConfigError, match=r"data\.split = .*leaves no data set any file to train on"):
        runs.train(config, "data.split.fold=1")
    assert f"{file}: 1 item(s) are in no data set: p99_l" in caplog.text


def test_the_splits_of_another_run_are_used(tmp_path: Path, scans: Path) -> None:
    config = config_of(tmp_path / "c.yaml", scans, split={"folds": 5, "fold": 2})
    runs.train(config)
    file = tmp_path / "out/splits.json"
    other = config_of(tmp_path / "d.yaml", scans, split={"kind": "given", "file": str(file)})
    for name in ("training", "validation", "test"):
        assert keys(other, name) == keys(config, name)
    assert len(keys(other, "validation")) == 4 and not keys(other, "test")
    folds = [keys(config, "validation", f"data.split.fold={fold}") for fold in range(5)]
    assert set.union(*folds) == keys(config, "training") | keys(config, "validation")
    assert sum(map(len, folds)) == 20


def test_a_plan_shares_out_the_training_items_only(tmp_path: Path, scans: Path) -> None:
    config = config_of(tmp_path / "c.yaml", scans, split={"validation": 0.5}, order="rank")
    runs.train(config)
    images(scans, "p0_x", "p99_x")
    runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2")
    assert runs.losses(tmp_path / "out")


def test_given_splits_that_divide_a_patient_are_refused(tmp_path: Path, scans: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [
        f"p{n}_{side},{'test' if side == 'l' and n == 3 else 'train'}" for n in range(10) for side in "lr"
    ]
    table.write_text("item,split\n" + "\n".join(rows))
    config = config_of(tmp_path / "c.yaml", scans, split={"kind": "given", "file": str(table)})
    with pytest.raises(DataError, match=r"1 group\(s\) are in several splits: p3 \(p3_l in test, p3_r in tr"):
        keys(config, "training")
    assert len(keys(config, "training", "data.groups={}")) == 19


def test_ranges_that_divide_a_patient_are_named(
    tmp_path: Path, scans: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    runs.train(config_of(tmp_path / "c.yaml", scans, dict_end_idx={"tiny": 0.55}))
    assert "1 group(s) are in several splits: p5 (p5_l in training, p5_r in validation)" in caplog.text
    caplog.clear()
    runs.train(config_of(tmp_path / "d/c.yaml", scans, dict_end_idx={"tiny": 0.6}))
    assert "several splits" not in caplog.text


def test_labels_are_stratified(tmp_path: Path) -> None:
    """Every fourth label has a lesion: so have a fourth of those that validate."""
    root = images(tmp_path / "data", *(f"s{n:02}" for n in range(32)))
    (root / "labels").mkdir()
    for number in range(32):
        label = np.zeros((16, 16), np.uint8)
        label[3, 4] = number % 4 == 0
        np.save(root / f"labels/s{number:02}.npy", label)
    split = {"validation": 0.25, "stratify": "labels"}
    config = config_of(tmp_path / "c.yaml", root, split=split, groups={})
    validates = keys(config, "validation")
    assert len(validates) == 8 and sum(int(name[1:]) % 4 == 0 for name in validates) == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"split": {"folds": 3, "fold": 3}}, r"data\.split\.fold = 3: expected 0 to 2"),
        ({"split": {"fold": 1}}, r"fold = 1: data\.split\.folds is needed"),
        ({"split": {"folds": 3, "validation": 0.1}}, r"not used with data\.split\.folds"),
        ({"split": {"validation": 0.6, "test": 0.5}}, r"expected together with .* less than 1"),
        ({"split": {"file": "/x.csv"}}, r"with data\.split\.kind: given only"),
        ({"split": {"kind": "given", "test": 0.1}}, r"not used with data\.split\.kind: given"),
        ({"split": {"kind": "random"}}, r"expected one of seeded, given"),
        (
            {"split": {}, "dict_end_idx": {"tiny": 0.5}},
            r"dict_end_idx\.tiny = 0\.5: is not used beside data\.split",
        ),
        ({"split": {"test": 0.1}, "test": {"tiny": "/t"}}, r"data\.test: is there beside items"),
        ({"groups": {"tiny": "sub-(\\w+"}}, r"expected a regular expression \(missing \)"),
        ({"groups": {"tiny": "sub-\\w+"}}, r"one group in \(\), or a \.csv; it has 0"),
        ({"groups": {"other": "(x)"}}, r"no dataset of this name"),
    ],
)
def test_what_has_no_effect_is_refused(tmp_path: Path, data: dict[str, Any], problem: str) -> None:
    config = config_of(tmp_path / "c.yaml", tmp_path, **{"groups": {}, **data})
    with pytest.raises(ConfigError, match=problem):
        load(config)


def test_whole_data_sets_validate_beside_splits(tmp_path: Path, scans: Path) -> None:
    other = images(tmp_path / "other", "p0_z", "p55_z")
    config = config_of(tmp_path / "c.yaml", scans, split={"test": 0.2}, validation={"tiny": str(other)})
    assert keys(config, "validation") == {"p0_z", "p55_z"} and len(keys(config, "training")) == 16
    run = load(config)
    assert from_dict(yaml.safe_load(yaml.safe_dump(run.model_dump(exclude_none=True)))) == run


def test_a_range_beside_a_whole_data_set_is_said_to_be_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ranges = {"dict_end_idx": {"tiny": 0.5}, "dict_val_start_idx": {"tiny": 0.75}}
    config = config_of(tmp_path / "c.yaml", tmp_path, groups={}, validation={"tiny": "/v"}, **ranges)
    load(config)
    assert "data.dict_val_start_idx.tiny is not used: data.validation.tiny is there" in caplog.text
    caplog.clear()
    load(config, ["data.dict_val_start_idx={}"])
    assert not caplog.text
