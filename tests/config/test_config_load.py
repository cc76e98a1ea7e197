import logging
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from ucf_vit.config import dump, from_dict, load
from ucf_vit.config.describe.reference import EXAMPLE
from ucf_vit.core.errors import ConfigError

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.yaml"))
SHIPPED = sorted((HERE.parents[1] / "configs").rglob("*.yaml"))


def test_a_short_config_gets_every_default(small):
    run = load(small)
    assert run.task == "segmentation" and run.trainer.task == "segmentation"
    assert run.datasets == ("ct1", "ct2")
    assert run.optimizer.lr == 1e-4 and run.optimizer.max_steps is None
    assert run.input.twoD is False and run.adaptive.fixed_length is None
    assert run.model.num_classes == run.data.num_classes == run.num_classes == 3
    data = run.data
    assert data.dict_start_idx == {"ct1": 0, "ct2": 0}
    assert data.dict_val_start_idx == data.dict_end_idx == {"ct1": 0.8, "ct2": 0.5}
    assert data.dict_val_end_idx == {"ct1": 1, "ct2": 1}
    assert data.dict_buffer_sizes == {"ct1": 100, "ct2": 100}
    assert data.dict_in_variables == {"ct1": ["ct"], "ct2": ["ct"]}
    assert data.num_channels_used == {"ct1": 1, "ct2": 1}
    assert data.num_channels_available == data.dict_normalization == {}, "the source decides"
    assert data.dict_label_mapping == {"ct1": {}, "ct2": {}}


def test_values_derived_from_the_sections(small):
    run = load(small)
    assert run.source_path == small
    assert run.spatial_tile == (32, 32, 16) and run.grid == (4, 4, 2) and run.in_channels == 1
    flat = load(small, ["model.twoD=true"])
    assert flat.spatial_tile == (32, 32) and flat.grid == (4, 4)
    trees = ["model.adaptive_patching=true"]
    assert load(small, trees).grid == (508,) and load(small, [*trees, "model.twoD=true"]).grid == (196,)


def test_channels_of_the_model():
    run = load(HERE / "established/imagenet/mae/base_config.yaml")
    assert run.in_channels == 3
    assert load(HERE / "established/basic_ct/unetr/base_config.yaml").in_channels == 1


def test_the_output_directory_has_a_default(small):
    run = load(small, ["trainer.checkpoint_path="], task="segmentation")
    assert run.trainer.checkpoint_path == "runs/segmentation/small"


def test_two_entries_are_two_dimensions(small):
    run = load(small, ["model.tile_size=[64, 32]"])
    assert run.input.twoD is True and run.grid == (8, 4)


@pytest.mark.parametrize("path", FILES + SHIPPED, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_dumped_config_loads_to_an_equal_run(path, tmp_path):
    run = load(path)
    copy = tmp_path / "config.yaml"
    copy.write_text(dump(run))
    again = load(copy)
    assert again == run and dump(again) == dump(run)
    assert "&" not in dump(run)


def test_runs_that_differ_are_not_equal(small):
    assert load(small) == load(small)
    assert load(small) != load(small, ["model.depth=3"])
    assert load(small) != "run"


def test_runs_do_not_change_and_can_be_sent_to_other_processes(small):
    run = load(small)
    with pytest.raises(ValidationError, match="frozen"):
        run.model.depth = 3
    assert pickle.loads(pickle.dumps(run)).where("model.embed_dim") == f"{small}:11"


def test_values_know_where_they_come_from(small):
    run = load(small, ["model.depth=3"])
    assert run.where("model.embed_dim") == f"{small}:11"
    assert run.where("model.depth") == "override model.depth=3"
    assert run.where("data.batch_size") == f"{small}:14"
    assert run.where("load_balancing.auto_load_balancing") == str(small)


def test_an_error_for_later_layers(small):
    error = load(small).error("data.dataset", "no source of this name", "basic_ct")
    assert isinstance(error, ConfigError) and error.exit_code == 2
    assert str(error) == f"{small}:15: data.dataset = 'basic_ct': no source of this name"


def test_values_in_memory(small):
    values = load(small).model_dump()
    assert from_dict(values) == load(small)
    with pytest.raises(
        ConfigError,
        match=r"^notebook: model.depth = 'x': expected a whole number >= 1 and <= 10000 \(blocks\)$",
    ):
        from_dict({**values, "model": {**values["model"], "depth": "x"}}, name="notebook")


def test_the_example_of_the_reference_page_loads(write, caplog):
    with caplog.at_level(logging.INFO):
        run = load(write(EXAMPLE))
    assert run.task == "segmentation" and not caplog.records
    assert len(EXAMPLE.splitlines()) <= 30


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-5", 1e-5),
        ("'1e-5'", 1e-5),
        ("1", 1.0),
        ("1.5e-2", 0.015),
        ("1_000", 1000.0),
        (".5", 0.5),
        ("2E-3", 2e-3),
    ],
)
def test_numbers_in_every_notation(spoil, written, value):
    assert load(spoil("lr: 1e-4", f"lr: {written}")).optimizer.lr == value


def test_whole_numbers_in_scientific_notation(small):
    assert load(small, ["model.max_steps=2e4"]).optimizer.max_steps == 20000


def test_text_that_yaml_1_1_takes_for_numbers(spoil):
    path = spoil("runs/small", "2026-11-21")
    assert load(path).trainer.checkpoint_path == "2026-11-21"
    assert load(path, ["load_balancing.dataset_group_list=1:1"]).load_balancing.groups() == [1, 1]


def test_anchors_and_merged_keys(spoil):
    path = spoil(
        "  dict_end_idx: {ct1: 0.8, ct2: 0.5}",
        "  dict_end_idx: &half {ct1: 0.5, ct2: 0.5}\n  dict_val_start_idx:\n    <<: *half\n    ct2: 0.75",
    )
    run = load(path, ["data.dict_end_idx.ct1=0.25"])
    assert run.data.dict_val_start_idx == {"ct1": 0.5, "ct2": 0.75}
    assert run.data.dict_end_idx == {"ct1": 0.25, "ct2": 0.5}


def test_an_empty_section_is_as_good_as_none(spoil):
    assert load(spoil("trainer:\n  checkpoint_path: runs/small", "trainer:")).trainer.max_epochs == 100


def test_a_byte_order_mark_is_no_key(small, write):
    assert load(write(b"\xef\xbb\xbf" + small.read_bytes())) == load(small)
