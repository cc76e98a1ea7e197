# ruff: noqa: E501
"""Checks of a config before anything is loaded."""

import json
from itertools import combinations

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from ucf_vit.config import dump, from_dict, load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import ConfigError


def values(**changes):
    """A small config with `section__key=value` changed."""
    sections = {
        "trainer": {"task": "segmentation"},
        "model": {
            "default_vars": ["a", "b"],
            "tile_size": [32, 32],
            "patch_size": 8,
            "embed_dim": 48,
            "num_heads": 4,
            "num_classes": 3,
        },
        "data": {"dataset": "x", "dict_root_dirs": {"one": "/1", "two": "/2"}},
        "load_balancing": {},
        "parallelism": {},
        "dataset_options": {},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        sections[section][key] = value
    return sections


def message(**changes):
    with pytest.raises(ConfigError) as error:
        from_dict(values(**changes))
    return str(error.value)


def good(**changes):
    return from_dict(values(**changes))


@given(
    st.lists(st.integers(1, 200), min_size=2, max_size=3),
    st.integers(1, 40) | st.lists(st.integers(1, 40), min_size=3, max_size=3),
    st.booleans(),
)
def test_the_patch_divides_the_tile(tile, patch, two):
    """As one number, or along each axis; for slices of volumes the third side is not used."""
    assume(two or len(tile) == 3)
    used = tile[:2] if two else tile
    patch = patch[: len(tile)] if isinstance(patch, list) else patch
    sides = patch[: len(used)] if isinstance(patch, list) else [patch] * len(used)
    short = sides[0] if len(set(sides)) == 1 else sides
    change = {"model__tile_size": tile, "model__patch_size": patch, "model__twoD": two}
    if divides(sides, used):
        run = good(**change)
        assert run.grid == tuple(side // p for side, p in zip(used, sides, strict=True))
        assert run.input.patch_size == short and run.patch == tuple(sides)
        assert from_dict(run.model_dump(exclude_none=True)) == run
    else:
        text = message(**change)
        assert f"patch_size {short} does not divide every side of the tile {used}" in text
        better = json.loads(text.split("take patch_size ")[1].split(" or the tile")[0])
        assert divides(better if isinstance(better, list) else [better] * len(used), used)
        assert divides(sides, json.loads(text.split("or the tile ")[1]))


def divides(sides, tile):
    return all(side % p == 0 for side, p in zip(tile, sides, strict=True))


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(["patch_size", "min_leaf"]),
)
def test_there_are_as_many_sides_as_axes(sides, two, key):
    change = {f"model__{key}": sides, "model__tile_size": [840, 840, 840], "model__twoD": two}
    if len(sides) == 3 or (two and len(sides) == 2):
        good(**change)
    else:
        axes = 2 if two else 3
        text = (
            f"model.{key} = {sides}: {len(sides)} sides for a tile of {axes} axes, [840, 840, 840]; give one"
        )
        assert text in message(**change)


@given(st.integers(1, 2000), st.integers(1, 64), st.booleans())
def test_heads_divide_the_width(width, heads, decoder):
    prefix = "decoder_" if decoder else ""
    change = {f"model__{prefix}embed_dim": width, f"model__{prefix}num_heads": heads}
    if width % heads == 0:
        good(**change)
    else:
        text = message(**change)
        better = int(text.split(f"take {prefix}num_heads ")[1].split()[0])
        wider = int(text.split(f"or {prefix}embed_dim ")[1])
        assert width % better == 0 and wider % heads == 0 and wider > width


def test_a_linear_decoder_has_no_heads():
    good(model__linear_decoder=True, model__decoder_num_heads=7)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model__twoD": False}, "model.twoD = false: tile_size [32, 32] has 2 entries, which is 2D"),
        ({"model__default_vars": ["a", "a"]}, "model.default_vars = ['a', 'a']: a variable occurs twice"),
        ({"model__max_steps": 10, "model__warmup_steps": 10}, "model.warmup_steps = 10: expected less than model.max_steps = 10"),
        ({"model__conditions": ["dataset", "dataset"]}, "model.conditions = ['dataset', 'dataset']: a condition occurs twice"),
        ({"trainer__task": "diffusion", "model__num_time_steps": 24}, "model.num_time_steps = 24: expected 25 or more for noise_schedule linear"),
        ({"model__eta_min": 1.0}, "model.eta_min = 1.0: expected at most optimizer.lr = 0.0001"),
        ({"model__num_classes": 1}, "data.num_classes = 1: expected 2 or more for task segmentation"),
        ({"data__num_classes": 4}, "data.num_classes = 4: model.num_classes is 3, but both mean the same number"),
        ({"trainer__use_pretrained_mae_model": True}, "trainer.mae_checkpoint_path: missing; expected the output directory"),
        ({"data__dict_root_dirs": {}}, "data.dict_root_dirs = {}: expected a dictionary, for each dataset a path or URL"),
        ({"data__dict_end_idx": {"one": 1}}, "data.dict_end_idx = {'one': 1.0}: no entry for 'two', which data.dict_root_dirs has"),
        ({"data__dict_buffer_sizes": {"one": 1, "tow": 1}}, "data.dict_buffer_sizes.tow = 1: no dataset of this name in data.dict_root_dirs (did you mean 'two'?)"),
        ({"data__dict_in_variables": {"one": ["a", "b"], "two": ["a", "c"]}}, "data.dict_in_variables.two = ['a', 'c']: 'c' is not in model.default_vars, which has 'a', 'b'"),
        ({"data__dict_in_variables": {"one": ["a", "b"], "two": ["a", "a"]}}, "data.dict_in_variables.two = ['a', 'a']: a variable occurs twice"),
        ({"data__dict_in_variables": {"one": ["a", "b"], "two": ["a"]}}, "expected all of model.default_vars in the same order"),
        ({"data__dict_in_variables": {"one": ["a", "b"], "two": ["b", "a"]}}, "expected all of model.default_vars in the same order"),
        ({"data__num_channels_used": {"one": 2, "two": 1}}, "data.num_channels_used.two = 1: expected 2, one for each of"),
        ({"data__num_channels_available": {"one": 3, "two": 1}}, "data.num_channels_used.two = 2: expected at most data.num_channels_available.two = 1"),
        ({"data__dataset": "my/file.py"}, "data.dataset = 'my/file.py': expected path/to/file.py:ClassName"),
        ({"data__dataset": "my/file.py:"}, "expected path/to/file.py:ClassName"),
        ({"data__dict_label_mapping": {"one": {5: 3}, "two": {}}}, "data.dict_label_mapping.one.5 = 3: expected a class from 0 to data.num_classes - 1 = 2"),
        ({"data__dict_label_mapping": {"one": {">4": 7}, "two": {}}, "data__ignore_label": 8}, "data.dict_label_mapping.one.>4 = 7: expected a class from 0 to data.num_classes - 1 = 2, or data.ignore_label"),
        ({"data__dict_label_mapping": {"one": {">4": 1, "2..5": 2}, "two": {}}}, "data.dict_label_mapping.one.>4: overlaps with '2..5'; each value has one class"),
        ({"data__dict_label_mapping": {"one": {5: 0, "5": 1}, "two": {}}}, "data.dict_label_mapping.one: the label 5 occurs twice, as 5 and '5'; keep one"),
        ({"data__dict_label_mapping": {"one": {".NaN": 0, "nan": 0}, "two": {}}}, "the label nan occurs twice, as '.NaN' and 'nan'; keep one"),
        ({"data__dict_label_mapping": {"one": {5: True}, "two": {}}}, "expected a whole number, found true"),
        ({"data__ignore_label": True}, "data.ignore_label: expected a whole number, found true"),
        ({"data__ignore_label": 3, "trainer__task": "masked"}, "data.ignore_label = 3: only segmentation ignores voxels, not task masked; leave it out"),
        ({"data__dict_nan": {"one": 0}}, "data.dict_nan = {'one': 0.0}: no entry for 'two', which data.dict_root_dirs has"),
        ({"data__dict_nan": {"one": float("nan"), "two": None}}, "data.dict_nan.one = nan: expected a number"),
        ({"data__tile_overlap": 1.0}, "data.tile_overlap = 1.0: expected a number >= 0 and < 1 (fraction)"),
        ({"trainer__sliding_window_overlap": 1}, "trainer.sliding_window_overlap = 1: expected a number >= 0 and < 1"),
        ({"parallelism__simple_ddp_size": 0}, "parallelism.simple_ddp_size = 0: expected 1 or more, or -1 for the remaining ranks"),
        ({"parallelism__fsdp_size": -1}, "parallelism.fsdp_size = -1: only one size can be -1"),
        ({"load_balancing__auto_load_balancing": False}, "load_balancing.batches_per_rank_epoch = {}: no entry for 'one', 'two'"),
        ({"dataset_options__fields_fill_value": {"one": 0, "tow": 1}}, "dataset_options.fields_fill_value.tow = 1"),
        ({"dataset_options__imagenet_resize": {"one": [1, 2], "tow": [1, 2]}}, "dataset_options.imagenet_resize.tow = [1, 2]: no dataset of this name"),
        ({"load_balancing__plan": "kept"}, "load_balancing.plan = 'kept': data.order is global, which follows no plan"),
        *(
            ({"trainer__checkpoint_filename": name}, f"trainer.checkpoint_filename = '{name}': taken by checkpoints that a run")
            for name in ("best", "best_step_3", "last_even", "last_odd", "x_step_12")
        ),
        *(
            ({f"trainer__{key}": "../other/best"}, f"trainer.{key} = '../other/best': expected the name of a checkpoint")
            for key in ("checkpoint_filename", "checkpoint_filename_for_loading", "mae_checkpoint_filename")
        ),
        ({"trainer__checkpoint_path": "s3://bucket/run"}, "trainer.checkpoint_path: s3://bucket/run: a URL; expected a path on a file system"),
        ({"data__dict_root_dirs": {"../up": "x"}}, "names files and folders too"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_together(change, expected):
    assert f"config: {expected}" in message(**change) or expected in message(**change)


@pytest.mark.parametrize("task", ["segmentation", "classification", "token_segmentation"])
def test_classes_are_needed(task):
    config = values(trainer__task=task, model__adaptive_patching=True)
    del config["model"]["num_classes"]
    with pytest.raises(
        ConfigError, match=f"data.num_classes: missing; task {task} needs the number of classes"
    ):
        from_dict(config)
    config["trainer"]["task"] = "masked"
    run = from_dict(config)
    with pytest.raises(ConfigError, match=r"model\.num_classes: missing; task masked needs"):
        _ = run.num_classes


@pytest.mark.parametrize("groups", ["", "1", "1:1:1", "a:b", "1:0", "1:-1", "1;1"])
def test_data_ranks_by_hand(groups):
    change = {
        "load_balancing__auto_load_balancing": False,
        "load_balancing__batches_per_rank_epoch": {"one": 3, "two": 4},
    }
    assert "expected a number of data ranks for each of the 2 datasets, such as '1:1'" in message(
        **change, load_balancing__dataset_group_list=groups
    )
    run = good(**change, load_balancing__dataset_group_list="1:3")
    assert check_ranks(run, 4)["simple_ddp_size"] == 4
    with pytest.raises(
        ConfigError, match=r"dataset_group_list = '1:3': these are 4 data ranks, but the run has 2"
    ):
        check_ranks(run, 2)


fractions = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


SPLITS = ("", "_val", "_test")


@given(st.lists(fractions, min_size=6, max_size=6), st.integers(0, 1000))
def test_training_validation_and_test_never_meet(given_fractions, files):
    pairs = list(zip(given_fractions[::2], given_fractions[1::2], strict=True))
    change = {}
    for split, (start, end) in zip(SPLITS, pairs, strict=True):
        change[f"data__dict{split}_start_idx"] = {"one": start, "two": 0 if split == "" else 1}
        change[f"data__dict{split}_end_idx"] = {"one": end, "two": 1}
    sound = [(start, end) for start, end in pairs if start < end]
    meet = any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in combinations(sound, 2))
    if any(start > end for start, end in pairs) or meet:
        text = message(**change)
        assert "data.dict_" in text and ".one = " in text
    else:
        good(**change)
        parts = [set(range(int(start * files), int(end * files))) for start, end in pairs]
        assert sum(map(len, parts)) == len(set().union(*parts))


def test_what_is_not_said_of_the_splits():
    """Training files, validation files, test files, in this order; none of the last."""
    data = good().data
    assert data.dict_test_start_idx == data.dict_test_end_idx == {"one": 1, "two": 1}
    data = good(
        data__dict_end_idx={"one": 0.5, "two": 0.5}, data__dict_test_start_idx={"one": 0.75, "two": 1}
    ).data
    assert data.dict_val_start_idx == {"one": 0.5, "two": 0.5}
    assert data.dict_val_end_idx == {"one": 0.75, "two": 1}
    assert data.dict_test_end_idx == {"one": 1, "two": 1}


def test_a_data_set_may_be_there_to_be_evaluated_only():
    run = good(data__dict_end_idx={"one": 0.8, "two": 0})
    assert run.having("training") == ("one",)
    assert run.data.dict_val_start_idx["two"] == 0 and run.data.dict_val_end_idx["two"] == 1
    assert good(data__dict_end_idx={"one": 0, "two": 0}).having("training") == ()


def test_whole_data_sets_validate_and_test():
    run = good(
        data__dict_end_idx={"one": 0.8, "two": 1},
        data__validation={"one": "/v"},
        data__test={"two": "s3://b/t"},
    )
    assert run.data.validation == {"one": "/v"} and run.data.test == {"two": "s3://b/t"}
    assert run.data.dict_val_start_idx["one"] == run.data.dict_val_end_idx["one"] == 0.8
    assert from_dict(yaml.safe_load(dump(run))) == run


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data__validation": {"three": "/v"}}, "data.validation.three = '/v': no dataset of this name"),
        ({"data__test": {"one": "ftp://host/x"}}, "data.test.one: ftp://host/x: URLs of ftp://"),
        ({"data__validation": {"one": "https://me:secret@host/x"}}, "data.validation.one: https://"),
        ({"data__validation": {"two": "/1"}}, "is data.dict_root_dirs.one too; name another"),
        ({"data__validation": {"one": "/v"}, "data__test": {"two": "/v"}}, "is data.validation.one too"),
        ({"data__test": {"one": 1}}, "data.test.one = 1: expected a path or URL"),
    ],
)
def test_whole_data_sets_that_cannot_be(change, expected):
    assert expected in message(**change)
    assert "secret" not in message(**change)


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        ({"kind": "window"}, "expected low and high for kind window"),
        ({"kind": "window", "low": 5}, "expected low and high for kind window"),
        ({"kind": "window", "low": 5, "high": 5}, "expected low < high"),
        ({"kind": "percentiles", "low": 99.9}, "expected low < high"),
        ({"kind": "percentiles", "high": 101}, "expected percentiles within 0 and 100"),
        ({"kind": "percentiles", "low": -1}, "expected percentiles within 0 and 100"),
        ({"kind": "mean_std"}, "expected 1 mean for all channels or one for each of 2"),
        ({"kind": "mean_std", "mean": [1, 2], "std": [1]}, "and as many values of std"),
        ({"kind": "mean_std", "mean": [1, 2], "std": [1, -1]}, "expected every std > 0"),
        ({"kind": "mean_std", "mean": [1], "std": [0]}, "expected every std > 0"),
    ],
)
def test_normalisations(normalization, expected):
    text = message(data__dict_normalization={"one": normalization, "two": {}})
    assert "data.dict_normalization.one = {" in text and expected in text


@pytest.mark.parametrize(
    "normalization",
    [
        {"kind": "window", "low": -1000, "high": 1000},
        {"kind": "percentiles"},
        {"kind": "mean_std", "mean": [0.5], "std": [0.1]},
        {"kind": "mean_std", "mean": [0.5, 0.4], "std": [0.1, 0.2]},
        {"kind": "zscore"},
        {"kind": "none"},
        {},
    ],
)
def test_good_normalisations(normalization):
    good(data__dict_normalization={"one": normalization, "two": {}})


def test_single_channel_batches_take_any_variables():
    run = good(data__single_channel=True, data__dict_in_variables={"one": ["b"], "two": ["b", "a"]})
    assert run.in_channels == 1 and run.data.num_channels_used == {"one": 1, "two": 2}


def test_variables_with_names_come_in_any_number_and_order():
    variables = {"one": ["b", "a"], "two": ["a"]}
    run = good(model__use_varemb=True, data__dict_in_variables=variables)
    assert run.in_channels == 2 and run.data.num_channels_used == {"one": 2, "two": 1}
    assert good(model__use_varemb=True, data__single_channel=True).in_channels == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"aggregation_group": 4}, "model.aggregation_group: variables.use_varemb is false"),
        ({"use_varemb": True, "aggregation_group": 4}, "variables.aggregation is cross"),
        ({"use_varemb": True, "aggregation": "hierarchical", "aggregation_group": 4}, ""),
        (
            {
                "use_varemb": True,
                "aggregation": "hierarchical",
                "adaptive_patching": True,
                "separate_channels": True,
            },
            "model.aggregation: with model.separate_channels every token is of one variable",
        ),
    ],
    ids=str,
)
def test_keys_of_aggregation_without_effect_are_warnings(change, said, caplog):
    good(**{f"model__{key}": value for key, value in change.items()})
    assert said in caplog.text and bool(said) == bool(caplog.records)


def test_a_source_in_a_file():
    assert good(data__dataset="here/my_source.py:Mine").data.dataset == "here/my_source.py:Mine"


SPLIT = {"parallelism__mode": "fsdp", "parallelism__seq_par_size": 4}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model__patch_size": 32},
            "seq_par_size = 4: more ranks than tokens: an encoder of this network has 1",
        ),
        (
            {"model__num_heads": 2, "parallelism__seq_par_attention": "ulysses"},
            "seq_par_attention = 'ulysses': needs a head for each of 4 ranks, but model.num_heads 2 / tensor_par_size 1 = 2; take auto or ring",
        ),
        (
            {"model__drop_rate": 0.1, "parallelism__seq_par_attention": "ring"},
            "seq_par_attention = 'ring': attention in a ring has no dropout; set model.drop_rate=0, or take ulysses",
        ),
        (
            {"model__drop_rate": 0.1, "parallelism__tensor_par_size": 2},
            "has no dropout (auto becomes ring: model.num_heads 4 / tensor_par_size 2 = 2, less than 4 ranks); set model.drop_rate=0, or take seq_par_size 2 or less",
        ),
    ],
)
def test_ranks_that_split_tokens(change, said):
    assert said in message(**SPLIT, **change)
    assert good(**SPLIT).parallelism.seq_par_size == 4
    del change["model__drop_rate" if "model__drop_rate" in change else next(iter(change))]
    good(**SPLIT, **change)


def test_masked_tokens_do_not_count_for_ranks_that_split_them():
    tiny = {"trainer__task": "masked", "model__mask_ratio": 0.9, "model__tile_size": [32, 32]}
    assert "has 2; take 2 or less" in message(**SPLIT, **tiny)
    assert good(**SPLIT, **tiny, model__linear_decoder=True).parallelism.seq_par_size == 4


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("parallelism__fsdp_size", 2, "set parallelism.mode=fsdp"),
        ("parallelism__tensor_par_size", 2, "set parallelism.mode=fsdp"),
        ("parallelism__seq_par_size", 2, "set parallelism.mode=fsdp"),
        ("parallelism__cpu_offloading", True, "set parallelism.mode=fsdp"),
    ],
)
def test_keys_that_need_mode_fsdp(key, value, said, caplog):
    assert said in message(**{key: value, "parallelism__mode": "simple"})
    assert good(**{key: value, "parallelism__mode": "fsdp"}).parallelism.mode == "fsdp"
    assert not caplog.records
    assert good(**{key: value}).parallelism.mode == "fsdp"
    name = key.removeprefix("parallelism__")
    assert caplog.messages == [f"config: parallelism.mode is fsdp, because of {name}"]


def test_only_copies_are_mode_simple(caplog):
    assert good(parallelism__simple_ddp_size=8).parallelism.mode == "simple"
    assert not caplog.records


@pytest.mark.parametrize(("size", "near"), [(3, "2 or 4"), (8, "4"), (5, "4")])
def test_tensor_ranks_share_heads_evenly(size, near):
    options = {"parallelism__mode": "fsdp", "model__num_heads": 4, "model__embed_dim": 64}
    text = message(**options, parallelism__tensor_par_size=size)
    assert "can't share model.num_heads = 4" in text and text.endswith(f"take {near}")


def test_the_same_backends_and_normalisations_as_the_library_has():
    from typing import get_args

    from ucf_vit.config import Model, NormalizationOptions

    backends = pytest.importorskip("ucf_vit.nn.attention_backends")
    assert set(get_args(Model.model_fields["attention"].annotation)) == set(backends.BACKENDS)
    used = pytest.importorskip("ucf_vit.data.values.normalization")
    assert set(get_args(NormalizationOptions.model_fields["kind"].annotation)) == set(get_args(used.Kind))
    for kind in get_args(used.Kind):
        used.Normalization(**NormalizationOptions(kind=kind, mean=[0.0], std=[1.0]).model_dump())


def test_tasks(small, spoil):
    assert load(small).task == "segmentation"
    assert load(small, task="masked").task == "masked"
    assert load(small, ["trainer.task=classification"]).task == "classification"
    with pytest.raises(
        ConfigError,
        match=r"override trainer.task=masked: trainer.task = 'masked': but segmentation was requested",
    ):
        load(small, ["trainer.task=masked"], task="segmentation")
    assert load(spoil("feature_size: 8", "mask_ratio: 0.6")).task == "masked"
    assert load(spoil("feature_size: 8", "mask_ratio: 0.6"), ["model.feature_size=8"]).task == "segmentation"
    assert load(spoil("  feature_size: 8\n", "")).task == "classification"
    nothing = spoil("  feature_size: 8\n", "").read_text().replace("  num_classes: 3\n", "")
    with pytest.raises(ConfigError, match=r"trainer\.task: which task"):
        from_text(nothing)


def from_text(text):
    from ucf_vit.config.yaml.lines import parse

    return from_dict(parse(text))


def test_labels_in_each_way_that_they_are_written():
    mapping = {".nan": 7, " > 4": 7, "0..1": 0, "2": 1, 4: "2"}
    run = good(
        data__dict_label_mapping={"one": mapping, "two": {}},
        data__ignore_label=7,
        data__dict_nan={"one": 0, "two": None},
    )
    assert run.data.dict_label_mapping["one"] == {"nan": 7, " > 4": 7, "0..1": 0, 2: 1, 4: 2}
    assert run.data.dict_nan == {"one": 0, "two": None}
