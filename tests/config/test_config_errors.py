# ruff: noqa: E501
"""Errors in a config file are one message with place, key, value and what was expected."""

import os

import pytest

from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError


def message(*args, **kwargs):
    with pytest.raises(ConfigError) as error:
        load(*args, **kwargs)
    assert error.value.exit_code == 2
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("embed_dim", "embed_dimm", "11: model.embed_dimm = 48: unknown key (did you mean 'embed_dim'?)"),
        ("patch_size: 8", "patch_size: 8\n  batch_size: 2", "10: input.batch_size = 2: unknown key here (did you mean 'data.batch_size'?)"),
        ("patch_size: 8", "patch_size: 8\n  num_workerz: 2", "10: input.num_workerz = 2: unknown key (did you mean 'data.num_workers'?)"),
        ("trainer:", "trianer:", "2: trianer = {'checkpoint_path': 'runs/small'}: unknown key (did you mean 'trainer'?)"),
        ("patch_size: 8", "patch_size: eight", "9: input.patch_size = 'eight': expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size: 8.5", "9: input.patch_size = 8.5: expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size: true", "9: input.patch_size = true: expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size:", "9: input.patch_size = null: expected a whole number >= 1, or a list with one for each axis (pixels); leave the key out to get its default"),
        ("patch_size: 8", "patch_size: []", "9: input.patch_size = []: expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size: [8, 8, no]", "9: input.patch_size = [8, 8, False]: expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size: [8, 8, 0]", "9: input.patch_size = [8, 8, 0]: expected a whole number >= 1, or a list with one for each axis (pixels)"),
        ("patch_size: 8", "patch_size: [8, 8]", "9: input.patch_size = [8, 8]: 2 sides for a tile of 3 axes, [32, 32, 16]; give one number, or one for each axis"),
        ("lr: 1e-4", "lr: .nan", "5: optimizer.lr = nan: expected a number > 0"),
        ("lr: 1e-4", "lr: 0", "5: optimizer.lr = 0: expected a number > 0"),
        ("lr: 1e-4", "lr: yes", "5: optimizer.lr = true: expected a number > 0"),
        ("feature_size: 8", "loss_fn: mse", "13: model.loss_fn = 'mse': expected one of maskMSE, MSE"),
        ("patch_size: 8", "pos_embed: sincoss", "9: input.pos_embed = 'sincoss': expected one of auto, learned, sincos (did you mean 'sincos'?)"),
        ("feature_size: 8", "skip_connection: 1", "13: model.skip_connection = 1: expected true or false"),
        ("[ct]", "[1]", "7: input.default_vars.0 = 1: expected text; put it in quotes"),
        ("[ct]", "ct", "7: input.default_vars = 'ct': expected a list of 1 or more, each text"),
        ("[ct]", "[]", "7: input.default_vars = []: expected a list of 1 or more, each text"),
        ("[32, 32, 16]", "[32]", "8: input.tile_size = [32]: expected a list of 2 to 3, each a whole number >= 1 (pixels)"),
        ("[32, 32, 16]", "[32, 0]", "8: input.tile_size.1 = 0: expected a whole number >= 1"),
        ("{ct1: 0.8, ct2: 0.5}", "{ct1: 1.8, ct2: 0.5}", "17: data.dict_end_idx.ct1 = 1.8: expected a number >= 0 and <= 1"),
        ("{ct1: 0.8, ct2: 0.5}", "0.8", "17: data.dict_end_idx = 0.8: expected a dictionary, for each dataset a number >= 0 and <= 1 (fraction)"),
        ("ct1: /data/a", "1: /data/a", "16: data.dict_root_dirs.1: expected a name that is text; put it in quotes"),
        ("num_classes: 3", "dict_normalization: {ct1: {kid: none}, ct2: {}}", "18: data.dict_normalization.ct1.kid = 'none': unknown key (did you mean 'kind'?)"),
        ("num_classes: 3", "dict_label_mapping: {ct1: {a: 1}, ct2: {}}", "18: data.dict_label_mapping.ct1.a: expected a label: a whole number, nan, or a range such as '>0', '<=3' or '1..255'"),
    ],
)  # fmt: skip
def test_one_wrong_key(spoil, old, new, expected):
    path = spoil(old, new)
    assert message(path) == f"{path}:{expected}"


def test_missing_keys_name_their_section(spoil):
    path = spoil("  dataset: basic_ct\n", "")
    assert message(path) == f"{path}:14: data.dataset: missing; expected text"
    path = spoil("input:", "parallelism:")
    assert f"{path}: input: missing; expected a section (ucf-vit config explain input lists" in message(path)


def test_several_errors_one_per_line(spoil):
    path = spoil("  embed_dim: 48\n  num_heads: 4", "  embed_dim: wide\n  nun_heads: 4\n  depth: 0")
    assert message(path).splitlines() == [
        f"{path}: 3 errors",
        f"  {path}:11: model.embed_dim = 'wide': expected a whole number >= 1 (features)",
        f"  {path}:13: model.depth = 0: expected a whole number >= 1 and <= 10000 (blocks)",
        f"  {path}:12: model.nun_heads = 4: unknown key (did you mean 'num_heads'?)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": is empty; expected sections such as model: and data: with keys below them"),
        ("# nothing\n---\n", ": is empty; expected sections"),
        ("- 1\n- 2\n", ": holds a list; expected sections"),
        ("just text", ": holds a value; expected sections"),
        ("model: 5\ndata: {}", ":1: model = 5: expected a section (ucf-vit config explain model lists"),
        ("a: {}\nmodel: [1]", ":2: model = [1]: expected a section (ucf-vit config explain model lists"),
        ("1: {}\n", "1: unknown key; keys are text"),
        ("model:\n  depth: 3\n  depth: 4\n", ":3: key 'depth' occurs twice (first in line 2); remove one"),
        ("model: {}\ndata: {}\nmodel: {}\n", ":3: key 'model' occurs twice (first in line 1); remove one"),
        ("true: {}\n", ":1: 'true' as a key is not text; put it in quotes"),
        ("model:\n  1.5: {}\n", ":2: '1.5' as a key is not text; put it in quotes"),
        ("model:\n  [a, b]: {}\n", ":2: a list or dictionary as a key is not text; put it in quotes"),
        ("model: [1, 2\n", ":2: not valid YAML: while parsing a flow sequence expected ',' or ']'"),
        (
            "model:\n\tdepth: 3\n",
            ":2: not valid YAML: while scanning for the next token found character '\\t'",
        ),
        ("model: *there\n", ":1: not valid YAML: found undefined alias 'there'"),
        ("a: 1\n---\nb: 2\n", ":2: not valid YAML: expected a single document"),
        ("model: !!python/object:os.system {}\n", ":1: not valid YAML: could not determine a constructor"),
        ("model: a\x07b\n", ":1: not valid YAML: character U+0007 is not allowed"),
        ("model: {depth: !!int x}\n", ": a value does not fit its tag"),
        ("model: {depth: " + "9" * 5000 + "}\n", ": a value does not fit its tag, or is too long"),
        ("model: {twoD: !!bool maybe}\n", ": a value does not fit its tag"),
        ("model: " + "[" * 1500, ": nested too deeply"),
        ("model: &loop {net: *loop}\n", "expected init_args"),
        ("model: &loop {depth: *loop}\n", ":1: model.depth = {'depth': {"),
        ("model: &loop\n  <<: *loop\n", ""),
    ],
)
def test_files_that_are_no_config(write, text, expected):
    path = write(text)
    assert str(path) in message(path) and expected in message(path)


def test_files_that_cannot_be_read(tmp_path, write):
    missing = tmp_path / "there is none.yaml"
    assert message(missing) == f"{missing}: no such file; give the path of the run's YAML file"
    assert message(tmp_path) == f"{tmp_path}: is a directory; give the path of the run's YAML file"
    path = write(b"model: \xff\xfe\n")
    assert message(path) == f"{path}: not a text file in UTF-8 (byte 7); save it as UTF-8"
    path = write("model: {}")
    assert f"{path}/x: can't be read" in message(path / "x")
    assert "can't be read" in message("a\0b")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_a_file_without_permission(write):
    path = write("model: {}")
    path.chmod(0)
    assert "can't be read" in message(path)


def test_long_and_nested_values_are_shown_short(write):
    wide = "{a: &a [x, x, x, x, x, x, x, x, x, x], b: &b [*a, *a, *a, *a, *a, *a], c: &c [*b, *b, *b, *b, *b, *b]}"
    text = message(write(f"model: {{depth: {wide}, lr: {'y' * 1000}}}\ndata: {{}}\n"))
    assert "model.depth = {'a'" in text and len(text) < 2000


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/ct", "https://host/ct?X-Amz-Signature=hidden"])
def test_credentials_in_a_root_are_refused_and_not_shown(small, url):
    text = message(small, [f"data.dict_root_dirs.ct1={url}"])
    assert "data.dict_root_dirs.ct1: " in text and "credentials" in text and "hidden" not in text
