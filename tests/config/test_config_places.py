# ruff: noqa: E501
"""Keys of a network stand in sections of their own; their old places in section `model` are accepted."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from ucf_vit.config import differences, dump, explain, load
from ucf_vit.config.describe.keys import keys, names_in
from ucf_vit.config.legacy_layout import MOVED, in_sections
from ucf_vit.config.network_options import decoder_options, encoder_options, input_options
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.config.sections.diffusion import Diffusion
from ucf_vit.config.sections.input import Input
from ucf_vit.config.sections.model import Model
from ucf_vit.config.sections.optimizer import Optimizer
from ucf_vit.config.sections.variables import Variables
from ucf_vit.core.errors import ConfigError
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions, VariableOptions

HERE = Path(__file__).parent
BEFORE = sorted((HERE / "before").rglob("*.yaml"))
NEW = """\
model: {embed_dim: 48, num_heads: 4, num_classes: 3, feature_size: 8}
input:
  default_vars: [ct]
  tile_size: [32, 32]
  patch_size: 8
optimizer:
  lr: 1e-3
data: {dataset: basic_ct, dict_root_dirs: {ct1: /data/a}}
"""


def message(path, *overrides):
    with pytest.raises(ConfigError) as error:
        load(path, overrides)
    return str(error.value)


@pytest.mark.parametrize("path", BEFORE, ids=lambda path: "-".join(path.parts[-3:]))
def test_files_of_before_are_the_shipped_ones(path):
    shipped = HERE.parents[1] / "configs" / path.relative_to(HERE / "before")
    assert "optimizer:" in shipped.read_text() and "optimizer:" not in path.read_text()
    as_before = load(shipped, ["data.orientation=as_stored"])  # scans are turned in new configs only
    assert load(path) == as_before
    assert dump(load(path)) == dump(as_before)


def test_the_table_of_old_places_has_every_key_of_the_new_sections():
    sections = {"input": Input, "adaptive": Adaptive, "variables": Variables, "diffusion": Diffusion}
    sections["optimizer"] = Optimizer
    assert {name: section for section, kind in sections.items() for name in kind.model_fields} == MOVED
    assert not MOVED.keys() & Model.model_fields.keys()


def test_a_dumped_config_has_the_new_places(small):
    values = yaml.safe_load(dump(load(small)))
    assert not values["model"].keys() & MOVED.keys()
    assert values["optimizer"]["lr"] == 1e-4 and values["input"]["tile_size"] == [32, 32, 16]


def test_a_config_dumped_before_loads(small, write):
    """As `config.yaml` of earlier runs has it: every default written out, all keys in `model`."""
    run = load(small)
    values = yaml.safe_load(dump(run))
    for name, section in MOVED.items():
        if name in values[section]:
            values["model"][name] = values[section].pop(name)
    assert load(write(yaml.safe_dump(values))) == run


@pytest.mark.parametrize("place", ["model.lr", "optimizer.lr", "model.net.init_args.lr"])
def test_overrides_find_both_places(small, write, place):
    for path in (small, write(NEW)):
        run = load(path, [f"{place}=5e-4"])
        assert run.optimizer.lr == 5e-4
        assert run.where("optimizer.lr") == f"override {place}=5e-4"


@pytest.mark.parametrize("section", ["input", "model", "model.net.init_args"])
def test_a_key_in_two_places_is_an_error(write, section):
    old = (
        "model:\n  tile_size: [8, 8]"
        if section != "model.net.init_args"
        else "model: {net: {init_args: {tile_size: [8, 8]}}}"
    )
    path = write(NEW.replace("model: {embed_dim: 48, num_heads: 4, num_classes: 3, feature_size: 8}", old))
    text = message(path)
    assert "model.tile_size = [8, 8]: occurs twice (also as input.tile_size); remove one" in text
    assert text.startswith(f"{path}:{1 if 'net' in section else 2}: ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("lr: 1e-3", "lr: 0", "7: optimizer.lr = 0: expected a number > 0"),
        ("patch_size: 8", "patch_size: 7", "5: input.patch_size = 7: patch_size 7 does not divide every side"),
        ("patch_size: 8", "patch_sise: 8", "5: input.patch_sise = 8: unknown key (did you mean 'patch_size'?)"),
        ("patch_size: 8", "depth: 8", "5: input.depth = 8: unknown key here (did you mean 'model.depth'?)"),
        ("lr: 1e-3", "lr: 1e-3\n  eta_min: 1", "8: optimizer.eta_min = 1.0: expected at most optimizer.lr = 0.001"),
        ("  tile_size: [32, 32]\n", "", "2: input.tile_size: missing; expected a list of 2 to 3"),
        ("optimizer:\n  lr", "model2:\n  lr", "6: model2 = {'lr': 0.001}: unknown key (did you mean 'model'?)"),
    ],
)  # fmt: skip
def test_errors_name_the_new_places(write, old, new, expected):
    path = write(NEW.replace(old, new, 1))
    assert message(path).startswith(f"{path}:{expected}")


def test_errors_name_the_place_that_the_user_wrote(small, write):
    assert message(small, "model.patch_size=7").startswith(
        "override model.patch_size=7: model.patch_size = 7: patch_size 7 does not divide"
    )
    assert message(small, "input.patch_size=7").startswith(
        "override input.patch_size=7: input.patch_size = 7: patch_size 7 does not divide"
    )
    path = write(NEW.replace("  tile_size: [32, 32]", "  tile_size: [32, 32, 32]"))
    text = message(path, "model.detail=canny", "model.adaptive_patching=true")
    assert "model.detail = 'canny': finds edges in 2D tiles only" in text and "input.twoD=true" in text


def test_explain_finds_both_places():
    for name, section in MOVED.items():
        assert explain(f"model.{name}") == explain(f"{section}.{name}")


def test_the_options_of_networks_have_the_names_and_defaults_of_the_config():
    """An option of a block is one field of `EncoderOptions` and one of the config."""
    for kind, sections in ((EncoderOptions, [Model]), (InputOptions, [Input, Adaptive])):
        known = {name: field for section in sections for name, field in section.model_fields.items()}
        for field in fields(kind):
            if field.name not in ("in_channels", "variables"):
                assert field.name in known, field.name
            if field.name in known and field.default is not MISSING:
                assert known[field.name].get_default() == field.default, field.name
    decoder = {"mlp_ratio": "mlp_ratio_decoder"}
    for field in fields(DecoderOptions):
        name = decoder.get(field.name, f"decoder_{field.name}")
        assert Model.model_fields[name].get_default() == field.default
    aggregation = {
        "aggregation": "aggregation",
        "group": "aggregation_group",
        "partial": "aggregation_partial",
    }
    for field in fields(VariableOptions):
        if field.name in aggregation:
            assert Variables.model_fields[aggregation[field.name]].get_default() == field.default


def test_options_follow_the_config(write):
    path = write(NEW)
    changes = ["model.depth=3", "model.drop_rate=0.1", "model.decoder_depth=2", "variables.use_varemb=true"]
    run = load(path, [*changes, "variables.aggregation_group=4", "adaptive.adaptive_patching=true"])
    encoder = encoder_options(run)
    assert (encoder.embed_dim, encoder.depth, encoder.num_heads, encoder.drop_rate) == (48, 3, 4, 0.1)
    assert decoder_options(run) == DecoderOptions(depth=2)
    seen = input_options(run)
    assert (seen.in_channels, seen.tile_size, seen.patch_size) == (1, (32, 32), (8, 8))
    assert seen.adaptive_patching and seen.fixed_length == 196 and seen.pos_embed == "learned"
    assert seen.variables == VariableOptions(names=["ct"], group=4)


def test_a_section_that_is_no_section(write):
    path = write(NEW.replace("optimizer:\n  lr: 1e-3", "optimizer: 5"))
    assert message(path) == (
        f"{path}:6: optimizer = 5: expected a section (ucf-vit config explain optimizer lists its keys)"
    )
    assert names_in(("optimizer",)) and "optimizer.lr" in keys()


def test_a_config_dumped_before_is_compared_key_by_key(small):
    """As the checkpoints of earlier runs hold it."""
    run = load(small)
    values = yaml.safe_load(dump(run))
    for section in ("input", "adaptive", "variables", "diffusion", "optimizer"):
        values["model"] |= values.pop(section)
    before = in_sections(values)
    assert before["input"]["default_vars"] == ["ct"] and before["optimizer"]["lr"] == 1e-4
    assert differences(before, run) == []
    assert differences(before, load(small, ["input.patch_size=16"])) == ["input.patch_size was 8, is 16"]
