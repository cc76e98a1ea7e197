"""Record of the data in a checkpoint, used when a model is used, without reading the data again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import runs
from ucf_vit import checkpoint
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.core.errors import CheckpointError, DataError, UserError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization
from ucf_vit.models import DiffusionVIT
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.sampling.sample import Sampling, generate, open_diffusion
from ucf_vit.tasks import Denoising
from ucf_vit.training import data_record
from ucf_vit.training.data_record import Normalized, Record
from ucf_vit.training.inputs.datasets import build_datasets

FLAT = {"num_time_steps": 8, "noise_schedule": "cosine", "tile_size": [16, 16]}
numbers = st.floats(-1e6, 1e6)
normalizations = st.builds(
    Normalization, kind=st.sampled_from(["minmax", "zscore", "none"]), low=numbers, high=numbers
) | st.lists(st.tuples(numbers, st.floats(1e-6, 1e6)), min_size=1, max_size=3).map(
    lambda pairs: Normalization("mean_std", mean=tuple(m for m, _ in pairs), std=tuple(s for _, s in pairs))
)
records = st.builds(
    Record,
    class_names=st.lists(st.text(max_size=5), unique=True, max_size=4).map(tuple),
    normalized=st.dictionaries(
        st.text(max_size=5),
        st.builds(Normalized, how=normalizations, variables=st.lists(st.text(max_size=3)).map(tuple)),
        max_size=3,
    ),
    task=st.fixed_dictionaries({"unit_range": st.booleans()}),
)


def edit(meta: Path, change: dict[str, Any]) -> None:
    content = json.loads(meta.read_text())
    meta.write_text(json.dumps({**content, **change}))


@given(records)
def test_it_is_read_as_it_was_written(found: Record) -> None:
    assert Record.load(json.loads(json.dumps({data_record.KEY: found.dump()})), Path("best")) == found


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"class_names": "cat"},
        {"class_names": [3]},
        {"normalized": {"a": {"how": {"kind": "other"}, "variables": []}}},
        {"normalized": {"a": {"how": {"kind": "window", "low": 2.0, "high": 1.0}, "variables": []}}},
        {"normalized": {"a": {"how": {"kind": "mean_std", "mean": ["x"], "std": [1.0]}, "variables": []}}},
        {"normalized": {"a": {}}},
        {"task": 3},
    ],
)
def test_a_damaged_one_is_one_message(broken: object) -> None:
    with pytest.raises(CheckpointError, match=r"^best: its record of the data is damaged") as error:
        Record.load({data_record.KEY: broken}, Path("best"))
    assert "\n" not in str(error.value)


def test_means_go_by_the_names_of_variables() -> None:
    how = Normalization("mean_std", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    kept = Normalized(how, ("a", "b", "c"))

    def dataset(*names: str, missing: bool = False) -> Any:
        return SimpleNamespace(
            name="d", variables=names, source=SimpleNamespace(variables=names, missing=missing)
        )

    assert kept.of(dataset("a", "b", "c")) == how
    assert kept.of(dataset("c", "a", missing=True)) == replace(
        how, mean=(3.0, 1.0), std=(6.0, 4.0), missing=True
    )
    with pytest.raises(DataError, match="no mean and deviation of variable 'x', only of a, b, c"):
        kept.of(dataset("a", "x"))
    one_for_all = Normalized(Normalization("mean_std", mean=(1.0,), std=(2.0,)), ("a",))
    assert one_for_all.of(dataset("x", "y")).mean == (1.0,)


def test_another_data_set_is_normalised_as_all_were_or_not_at_all() -> None:
    other = SimpleNamespace(name="other", source=SimpleNamespace(variables=("a",), missing=False))
    a, b = (Normalized(Normalization(kind), ("a",)) for kind in ("zscore", "minmax"))
    assert Record(normalized={"x": a, "y": a}).normalization(other) == Normalization("zscore")
    assert Record(normalized={"x": a, "y": b}).normalization(other) is None
    assert Record().normalization(other) is None


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Prepared images, whose normalisation, mean and deviation, stands in the manifest."""
    pytest.importorskip("zarr", reason="needs the extra zarr")
    noise = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "raw" / name).mkdir(parents=True)
        for i in range(6):
            pixels = noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"raw/{name}/{i}.png")
    arguments = ["prepare", str(tmp_path / "raw"), str(tmp_path / "fast"), "--dataset", "imagenet"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return tmp_path / "fast"


def test_samples_need_no_data(tmp_path: Path, prepared: Path) -> None:
    """The range of values is that of the training: without it they would be cut off at -1 and 1 and moved."""
    model = {
        **FLAT,
        "default_vars": ["red", "green", "blue"],
        "prediction": "clean",
        "conditions": ["dataset"],
    }
    data = {"dataset": "prepared"}
    runs.train(
        runs.write_config(
            tmp_path / "c.yaml", "diffusion", prepared, model=model, data=data, trainer={"max_steps": 2}
        )
    )

    def samples() -> tuple[bool | None, torch.Tensor]:
        trained = open_diffusion(tmp_path / "out")
        made = generate(trained, Sampling(number=2), 4, None, None)
        return trained.task.unit_range, made

    unit_range, before = samples()
    assert unit_range is False
    shutil.rmtree(prepared)
    assert samples()[0] is False
    assert torch.equal(samples()[1], before)

    meta = tmp_path / "out/best/meta.json"
    kept = json.loads(meta.read_text())[data_record.KEY]
    assert kept["task"] == {"unit_range": False, "conditions": {"dataset": ["tiny"]}}
    assert kept["normalized"]["tiny"]["how"]["kind"] == "mean_std"
    content = {k: v for k, v in json.loads(meta.read_text()).items() if k != data_record.KEY}
    meta.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"no manifest\.json found"):
        samples()


def test_values_that_would_leave_the_range_are_refused(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml", "diffusion", concrete, model=FLAT, trainer={"max_steps": 1}
    )
    runs.train(config)
    assert open_diffusion(tmp_path / "out").task.unit_range is True
    zscore = "data.dict_normalization={tiny: {kind: zscore}}"
    resumed = ["trainer.resume_from_checkpoint=true", "trainer.max_steps=2", zscore]
    with pytest.raises(UserError, match=r"tiny: the network was trained on values in 0\.\.1.*zscore are not"):
        runs.train(config, *resumed)
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "out"), zscore])
    assert isinstance(result.exception, UserError)
    runs.train(config, "trainer.overwrite=true", zscore)
    assert open_diffusion(tmp_path / "out").task.unit_range is False


def test_a_statistics_file_that_was_replaced_changes_nothing(tmp_path: Path, concrete: Path) -> None:
    data = {"dict_normalization": {"tiny": {"kind": "stats"}}}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, data=data, trainer={"max_steps": 1})
    assert CliRunner().invoke(app, ["stats", str(config)]).exit_code == 0
    runs.train(config)
    run, meta = load(config), checkpoint.read_meta(tmp_path / "out/best")
    kept = Record.load(meta, tmp_path)
    (before,) = build_datasets(run, Scratch(), "validation")
    file = run.stats_file("tiny")
    file.write_text(file.read_text().replace('"mean": ', '"mean": 9'))
    (other,) = build_datasets(run, Scratch(), "validation")
    (recorded,) = build_datasets(run, Scratch(), "validation", record=kept)
    assert other.normalization != before.normalization == recorded.normalization
    file.unlink()
    (recorded,) = build_datasets(run, Scratch(), "validation", record=kept)
    assert recorded.normalization == before.normalization
    given_anew = load(config, ["data.dict_normalization={tiny: {kind: zscore}}"])
    (said,) = build_datasets(given_anew, Scratch(), "validation", record=kept)
    assert said.normalization.kind == "zscore"
    runs.train(config, "trainer.resume_from_checkpoint=true", "trainer.max_steps=2")


def test_conditions_keep_their_numbers_when_data_sets_change_places() -> None:
    tile = InputOptions(in_channels=1, tile_size=(8, 8), patch_size=4)
    model = DiffusionVIT(tile, EncoderOptions(embed_dim=8, depth=1, num_heads=1))
    task = Denoising(model, conditions={"class": ["0", "1", "2"], "dataset": ["a", "b"]}, unit_range=None)
    Record(("cat", "dog")).restore(task)
    assert task.conditions == {"class": ("cat", "dog", "2"), "dataset": ("a", "b")}
    kept = json.loads(json.dumps(task.data_facts()))
    other = Denoising(model, conditions={"class": ["0", "1", "2"], "dataset": ["b", "a"]}, unit_range=None)
    zscore = Normalized(Normalization("zscore"), ("x",))
    Record(("cat", "dog"), {"a": zscore}, kept).restore(other)
    assert other.conditions == task.conditions
    assert other.unit_range is False, "an open one is settled by how the data sets were normalised"
    with pytest.raises(CheckpointError, match="lacks the values that a Denoising saves"):
        Record(task={"conditions": 3}).restore(task)
