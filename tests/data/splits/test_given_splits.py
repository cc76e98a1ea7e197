"""Groups and splits as files and layouts give them."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources import Item
from ucf_vit.data.splits.assignment import Assignment, Listed
from ucf_vit.data.splits.given import read_splits
from ucf_vit.data.splits.groups import group_of_items
from ucf_vit.data.splits.make import given

ITEMS = [Item(f"scan{n}", f"/data/ct/sub-{n // 2:02d}/scan{n}.nii.gz") for n in range(4)]


def test_groups_come_from_paths_and_keys() -> None:
    assert group_of_items(ITEMS, "/data/ct", r"sub-(\w+?)/") == {
        "scan0": "00",
        "scan1": "00",
        "scan2": "01",
        "scan3": "01",
    }
    assert group_of_items(ITEMS, "/data/ct", r"^scan(\d)")["scan3"] == "3"
    inside = [Item("x", "/data/sub-7/ct/x.npy")]
    with pytest.raises(DataError, match=r"no group to 1 of 1 items \(x\); expected a match of 'sub"):
        group_of_items(inside, "/data/sub-7/ct", r"sub-(\d)")
    assert group_of_items([Item("a", "", group="p")], "", "") == {"a": "p"}


def test_groups_come_from_tables(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("item, group, age\nscan0,p1,3\nscan1.nii.gz,p1,3\n/data/ct/sub-01/scan2.nii.gz,p2,4\n")
    with pytest.raises(DataError, match=r"no group to 1 of 4 items \(scan3\); expected a row of .*patients"):
        group_of_items(ITEMS, "/data/ct", str(table))
    found = group_of_items(ITEMS[:3], "/data/ct", str(table))
    assert found == {"scan0": "p1", "scan1": "p1", "scan2": "p2"}
    table.write_text("item,group\nscan0,p1\nscan0,p2\n")
    with pytest.raises(DataError, match=r"item scan0 has the group 'p1' and 'p2'"):
        group_of_items(ITEMS[:1], "", str(table))
    table.write_text("name,group\nscan0,p1\n")
    with pytest.raises(DataError, match=r"expected the columns item and group, found name, group"):
        group_of_items(ITEMS[:1], "", str(table))


def test_folds_of_nnunet(tmp_path: Path) -> None:
    file = tmp_path / "splits_final.json"
    folds = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["a", "c"], "val": ["b"]}]
    file.write_text(json.dumps(folds))
    assert read_splits(file, "ct", 1) == {"a": "training", "c": "training", "b": "validation"}
    with pytest.raises(DataError, match=r"has 2 folds, data\.split\.fold is 2; they count from 0"):
        read_splits(file, "ct", 2)
    file.write_text(json.dumps([{"train": ["a"], "val": ["a"]}]))
    with pytest.raises(DataError, match=r"item a is there to training and to validation"):
        read_splits(file, "ct")
    file.write_text(json.dumps([{"train": "a", "val": ["b"]}]))
    with pytest.raises(DataError, match=r"training is 'a'; expected a list of names"):
        read_splits(file, "ct")
    file.write_text('{"folds": 3}')
    with pytest.raises(DataError, match=r"no splits; expected the splits\.json of a run"):
        read_splits(file, "ct")


def test_tables_of_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "splits.csv"
    file.write_text("item,split\nscan0,train\n\nscan1.nii.gz,VAL\nscan2,test\n,\nscan7,train\n")
    found = given({"ct": ITEMS}, file, 0)
    assert found == {"ct": {"scan0": "training", "scan1": "validation", "scan2": "test", "scan3": ""}}
    assert "gives no split to 1 item(s), which are not used: scan3" in caplog.text
    assert f"{file}: 1 item(s) are in no data set: scan7" in caplog.text
    file.write_text("item,split\nscan0,dev\n")
    with pytest.raises(DataError, match=r"split 'dev'; expected training, validation, test"):
        given({"ct": ITEMS}, file, 0)
    with pytest.raises(DataError, match=r"the layout of the data set gives no split to any of 4 items"):
        given({"ct": ITEMS}, None, 0)


def test_splits_are_read_as_they_are_written(tmp_path: Path) -> None:
    splits = {"ct": {"é": "training", "b": "validation", "c": "test", "d": ""}, "mr": {"a": "training"}}
    file = tmp_path / "splits.json"
    file.write_text(Listed(splits, {"ct": {"b": "p1"}}, {"seed": 3}).dump())
    assert read_splits(file, "ct") == {"é": "training", "b": "validation", "c": "test"}
    assert json.loads(file.read_text())["datasets"]["ct"]["groups"] == {"b": "p1"}
    with pytest.raises(DataError, match=r"has no data set 'pet', only ct, mr"):
        read_splits(file, "pet")


def test_a_group_in_two_splits_is_refused() -> None:
    splits = {"ct": {"a": "training", "b": "validation", "c": "test"}, "mr": {"m": "test"}}
    groups = {"ct": {"a": "p1", "b": "p2", "c": ""}, "mr": {"m": "p1"}}
    with pytest.raises(DataError, match=r"1 group\(s\) .*: p1 \(a in training, m in test\)"):
        Listed(splits, groups).check_groups()
    Listed(splits, {**groups, "mr": {"m": "p3"}}).check_groups()


def test_items_that_came_later_are_named_and_in_no_split(caplog: pytest.LogCaptureFixture) -> None:
    made = Assignment.of({"ct": {"scan3": "training", "scan1": "training", "scan0": "test"}})
    caplog.set_level(logging.WARNING)
    assert [item.key for item in made.select("ct", ITEMS, "training")] == ["scan1", "scan3"]
    assert "ct: 1 item(s) came after the splits were made and are in none of them: scan2." in caplog.text
    assert made.has("ct", "test") and not made.has("ct", "validation")
    assert made.select("ct", ITEMS, "validation") == []
    assert Assignment({"ct": np.zeros((0, 2), np.int64)}).select("ct", ITEMS, "test") == []
