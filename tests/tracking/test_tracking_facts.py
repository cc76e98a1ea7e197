"""Names, lengths and facts as MLflow takes them."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import runs
from ucf_vit.config import load
from ucf_vit.tracking.facts import (
    LONGEST_VALUE,
    config_digest,
    git_tags,
    name_of,
    parameters,
    shortened,
)


@given(st.text(min_size=1, max_size=400))
def test_every_name_becomes_one_that_mlflow_takes(text: str) -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    validation._validate_metric_name(name_of(text))
    validation._validate_param_name(name_of(text))
    validation._validate_tag_name(name_of(text))
    assert len(name_of(text)) <= 250


def test_names_that_are_good_stay_as_they_are() -> None:
    for name in ("loss", "validation/dice_1", "tile_seconds/my data", "model.depth"):
        assert name_of(name) == name


@given(st.one_of(st.text(), st.lists(st.integers()), st.none(), st.floats(), st.booleans()))
def test_values_are_texts_of_some_length(value: object) -> None:
    assert 0 < len(shortened(value)) <= LONGEST_VALUE


def test_a_long_value_says_that_it_was_cut() -> None:
    assert shortened("x" * 800).endswith("... (800 characters: config.yaml)")
    assert shortened("x" * LONGEST_VALUE) == "x" * LONGEST_VALUE


def test_parameters_of_a_config(tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    found = parameters(load(config))
    assert found["model.depth"] == "2" and found["input.tile_size"] == "[16, 16, 16]"
    assert found["data.dict_end_idx.tiny"] == "0.75" and found["trainer.checkpoint_filename"] == "last"
    assert not [name for name in found if name.startswith("tracking.")]
    assert all(name_of(name) == name and value for name, value in found.items())


def test_the_digest_is_that_of_what_is_trained(tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, trainer={"hooks": ["mlflow"]})
    first = config_digest(load(config))
    same = ("trainer.resume_from_checkpoint=true", "trainer.overwrite=true", "tracking.experiment=other")
    assert all(config_digest(load(config, [change])) == first for change in same)
    assert config_digest(load(config, ["optimizer.lr=2e-3"])) != first


def test_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode().strip()

    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert git_tags() == {"mlflow.source.git.commit": commit, "git.changed": "false"}
    (tmp_path / "file").write_text("b")
    assert git_tags()["git.changed"] == "true"
