# ruff: noqa: E501
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.config import load
from ucf_vit.config.describe.keys import keys
from ucf_vit.core.errors import ConfigError


def message(small, *overrides):
    with pytest.raises(ConfigError) as error:
        load(small, overrides)
    return str(error.value)


def test_values_are_yaml(small):
    run = load(
        small,
        [
            "model.depth=6",
            "model.tile_size=[64,64]",
            "model.lr=1e-3",
            "trainer.resume_from_checkpoint=True",
            "trainer.max_steps=null",
            "data.dict_root_dirs.ct1=/x=y",
            "data.dict_normalization={ct1: {kind: zscore}, ct2: {kind: none}}",
            "data.dict_label_mapping.ct1.7=1",
            "data.dict_label_mapping.ct2={}",
            "trainer.checkpoint_filename=2026",
            "trainer.checkpoint_filename_for_loading=",
        ],
    )
    assert run.model.depth == 6 and run.input.tile_size == [64, 64] and run.optimizer.lr == 1e-3
    assert run.trainer.resume_from_checkpoint is True and run.trainer.max_steps is None
    assert run.data.dict_root_dirs == {"ct1": "/x=y", "ct2": "/data/b"}
    assert run.data.dict_normalization["ct1"].kind == "zscore"
    assert run.data.dict_label_mapping == {"ct1": {7: 1}, "ct2": {}}
    assert run.trainer.checkpoint_filename == "2026"
    assert run.trainer.checkpoint_filename_for_loading == ""


def test_the_last_one_wins(small):
    assert load(small, ["model.depth=6", "model.depth=7"]).model.depth == 7


def test_a_section_that_the_file_does_not_have(small):
    assert load(small, ["parallelism.simple_ddp_size=4"]).parallelism.simple_ddp_size == 4


def test_a_right_override_of_a_wrong_value(spoil):
    assert load(spoil("embed_dim: 48", "embed_dim: 50"), ["model.embed_dim=64"]).model.embed_dim == 64


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.depth=six", "override model.depth=six: model.depth = 'six': expected a whole number >= 1 and <= 10000 (blocks)"),
        ("model.dept=6", "override model.dept=6: model.dept = 6: unknown key (did you mean 'depth'?)"),
        ("modle.depth=6", "override modle.depth=6: modle = {'depth': 6}: unknown key (did you mean 'model'?)"),
        ("model.depth", "override 'model.depth': expected section.key=value, e.g. model.depth=6"),
        ("=3", "override '=3': expected section.key=value, e.g. model.depth=6"),
        ("model.=3", "override 'model.=3': expected section.key=value, e.g. model.depth=6"),
        ("depth=6", "override 'depth=6': expected section.key=value, e.g. model.depth=6 (did you mean 'model.depth'?)"),
        ("model.patch_size.x=6", "override 'model.patch_size.x=6': model.patch_size is 8, not a dictionary"),
        ("model.tile_size.0=64", "override 'model.tile_size.0=64': model.tile_size is [32, 32, 16], not a dictionary; give model.tile_size=value"),
        ("model.tile_size=[64", "override 'model.tile_size=[64': not valid YAML"),
        ("model.depth=*x", "override 'model.depth=*x': not valid YAML: found undefined alias 'x'"),
        ("data.dict_end_idx.ct22=1", "no dataset of this name in data.dict_root_dirs (did you mean 'ct2'?); it has 'ct1', 'ct2'"),
        ("model.lr=", "override model.lr=: model.lr = '': expected a number > 0"),
    ],
)  # fmt: skip
def test_errors_give_the_override(small, override, expected):
    assert expected in message(small, override)


def test_an_error_in_the_file_is_still_the_file_s(spoil):
    path = spoil("embed_dim: 48", "embed_dim: 0")
    assert (
        message(path, "model.depth=3")
        == f"{path}:11: model.embed_dim = 0: expected a whole number >= 1 (features)"
    )


@pytest.mark.parametrize("key", ["model.num_classes", "data.num_classes"])
def test_the_number_of_classes_has_two_keys(small, key):
    run = load(small, [f"{key}=7"])
    assert run.model.num_classes == run.data.num_classes == 7


def test_two_numbers_of_classes(small):
    expected = (
        "override data.num_classes=2: data.num_classes = 2: model.num_classes is 5, but both mean the same"
    )
    assert expected in message(small, "model.num_classes=5", "data.num_classes=2")


@given(st.sampled_from(sorted(keys())), st.integers(1, 9))
def test_an_override_and_the_same_in_the_file_are_one(key, number):
    from ucf_vit.config.origins import Origins
    from ucf_vit.config.overrides import override
    from ucf_vit.config.yaml.lines import parse

    origins = Origins("x")
    values = override({}, [f"{key}={number}"], origins)
    text = "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(key.split(".")))
    written = override(parse(text.rstrip("\n") + f" {number}"), [], Origins("x"))
    path = key.split(".")
    for part in path:
        values, written = values[part], written[part]
    assert str(values) == str(written) == str(number)
    assert origins.from_override(tuple(path))
