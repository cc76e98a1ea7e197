"""Facts about built-in tasks and networks agree with their classes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runs
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.data.loader.augment import AUGMENTATIONS
from ucf_vit.registries import networks, tasks
from ucf_vit.registries.networks import NETWORKS, network_facts
from ucf_vit.registries.tasks import TASKS, TaskFacts, task_facts, task_name
from ucf_vit.tasks import Task

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", list(TASKS))
def test_tasks(name):
    facts = task_facts(name)
    assert issubclass(TASKS[name], Task) and TASKS[name].facts is facts
    assert facts.network in NETWORKS and facts.augmentation in AUGMENTATIONS
    assert facts.network_output == network_facts(facts.network).output
    assert all(task_name(old) == name for old in (name, *facts.old_names))
    assert set(facts.encoder_from) <= set(TASKS)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks(name):
    assert NETWORKS[name].facts is network_facts(name)


def test_facts_of_all():
    assert set(tasks.BUILT_IN) == set(TASKS) and set(networks.BUILT_IN) == set(NETWORKS)
    with pytest.raises(UserError, match="no task named 'unetr"):
        task_facts("unetrr")


def test_labels_of_conditions():
    facts = TaskFacts(condition_labels={"class": "image"})
    assert [facts.label_kind(c) for c in ((), ("dataset",), ("dataset", "class"))] == [
        "none",
        "none",
        "image",
    ]


@pytest.mark.parametrize(
    ("old", "new", "network"),
    [
        ("unetr", "segmentation", "unetr"),
        ("sap", "token_segmentation", "sap"),
        ("mae", "masked", "mae"),
        ("vit", "classification", "vit"),
    ],
)
def test_older_names_of_tasks(tmp_path, old, new, network):
    config = runs.write_config(tmp_path / "c.yaml", new, tmp_path)
    text = config.read_text()
    renamed = tmp_path / "old.yaml"
    renamed.write_text(text.replace(f"task: {new}", f"task: {old}"))
    nameless = tmp_path / "nameless.yaml"
    nameless.write_text(text.replace(f"  task: {new}\n", ""))
    found = load(config)
    assert (found.task, found.network, found.model.name) == (new, network, network)
    assert load(renamed) == load(nameless, task=old) == load(nameless, [f"trainer.task={old}"]) == found
    assert load(renamed, task=new) == load(config, task=old) == found


def test_names_that_are_not_there_or_do_not_fit(tmp_path):
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    with pytest.raises(
        ConfigError,
        match=re.escape("its output is voxel logits, but task masked needs masked patches; take mae"),
    ):
        load(config, ["model.name=unetr"])
    with pytest.raises(
        ConfigError, match=r"trainer.task: no task named 'segmentaton' \(did you mean 'segmentation'"
    ):
        load(config, ["trainer.task=segmentaton"])
    with pytest.raises(ConfigError, match="no task named 'segmentaton'"):
        load(config, task="segmentaton")
    with pytest.raises(ConfigError, match=r"model.name: no network named 'unet' \(did you mean 'unetr'"):
        load(config, ["model.name=unet"])


def test_an_option_without_a_value_is_refused(tmp_path):
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    with pytest.raises(ConfigError, match=r"model\.options: width has no value"):
        load(config, ["model.options={width: null}"])


@pytest.mark.parametrize(
    "path", ["configs/basic_ct/unetr/base_config.yaml", "configs/imagenet/mae/base_config.yaml"]
)
def test_a_config_is_checked_without_torch(path):
    code = """
import sys
from ucf_vit.cli.main import app
app(["config", "check", sys.argv[1]], standalone_mode=False)
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, str(ROOT / path)], check=True, cwd=ROOT)
