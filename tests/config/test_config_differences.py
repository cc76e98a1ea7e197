"""Differences between a config and that of a trained network."""

import pytest
import yaml
from test_config_adaptive import adaptive
from test_config_checks import good

from ucf_vit.config import Run, differences, dump, load


def between(before: Run, now: Run) -> list[str]:
    return differences(yaml.safe_load(dump(before)), now)


def test_a_run_that_is_the_same_or_is_only_trained_otherwise_has_none(small):
    run = load(small)
    assert between(run, run) == []
    changes = ["model.lr=1", "model.warmup_steps=3", "model.attention=math", "model.drop_path=0.1"]
    elsewhere = ["trainer.max_epochs=7", "data.batch_size=9", "data.dict_root_dirs.ct1=/elsewhere"]
    assert between(run, load(small, [*changes, *elsewhere])) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fixed_length": 13}, ["adaptive.fixed_length was 196, is 13"]),
        ({"detail": "variance", "min_leaf": 4, "fixed_length": 16},
         ["adaptive.fixed_length was 196, is 16", "adaptive.min_leaf was 2, is 4",
          "adaptive.detail was 'canny', is 'variance'"]),
        ({"adaptive_patching": False, "min_leaf": 4}, ["adaptive.adaptive_patching was true, is false"]),
    ],
)  # fmt: skip
def test_another_tree_is_one(change, expected):
    unetr = {"trainer__task": "segmentation"}
    assert between(good(**adaptive() | unetr), good(**adaptive(**change) | unetr)) == expected


def test_trees_do_not_matter_where_there_are_none(small):
    assert between(load(small), load(small, ["model.min_leaf=4", "model.detail=variance"])) == []


def test_entries_of_other_data_sets_are_ignored(small):
    one = "data.dict_normalization={ct1: {kind: zscore}, ct2: {kind: none}}"
    other = "data.dict_normalization={ct1: {kind: minmax}, ct2: {kind: none}}"
    (found,) = between(load(small, [one]), load(small, [other]))
    assert found.startswith("data.dict_normalization was {'ct1': {") and "'zscore'" in found
    only = ["data.dict_root_dirs={ct2: /data/b}", "data.dict_end_idx={ct2: 0.5}"]
    assert (
        between(load(small, [one]), load(small, [*only, "data.dict_normalization={ct2: {kind: none}}"])) == []
    )


def test_keys_that_an_earlier_version_lacks_do_not_count(small):
    run = load(small)
    before = yaml.safe_load(dump(run))
    del before["model"]["skip_connection"]
    assert differences(before, load(small, ["model.skip_connection=false"])) == []


@pytest.mark.parametrize(
    ("task", "old"), [("segmentation", "unetr"), ("classification", "vit"), ("masked", "mae")]
)
def test_an_older_name_of_the_task_is_the_same(small, task, old):
    run = load(small, task=task)
    before = yaml.safe_load(dump(run).replace(f"task: {task}", f"task: {old}"))
    del before["model"]["name"], before["model"]["options"]
    assert before["trainer"]["task"] == old and differences(before, run) == []
    found = differences(before, load(small, task="diffusion"))
    assert found[0] == f"trainer.task was '{task}', is 'diffusion'"
    assert before["trainer"]["task"] == old
