"""No input gives anything but a run or a ConfigError."""

import copy
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ucf_vit.config import Run, dump, explain, from_dict, load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.config.describe.keys import keys
from ucf_vit.config.yaml.dialect import Dumper, Loader
from ucf_vit.core.errors import ConfigError
from ucf_vit.core.files.paths import escaped
from ucf_vit.core.files.urls import is_remote

HERE = Path(__file__).parent
TEXTS = [path.read_text() for path in sorted(HERE.rglob("*.yaml"))]
CONFIGS = [yaml.load(text, Loader) for text in TEXTS]
quiet = settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])

names = st.sampled_from(
    sorted({part for key in keys() for part in key.split(".")} | {"net", "init_args", "ct1"})
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 2, 3, 10**30, -(10**30), 10**400, 2**63, 1e300])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["1e-5", "nan", "inf", "-1", "1:1", "\ud800", "a.py:", "x\n", "=", "~", "auto", "unetr"]
    )
)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | scalars, inner, max_size=3),
    max_leaves=6,
)


def outcome(function, *args):
    """A run, or None for a ConfigError with a message of some lines."""
    try:
        run = function(*args)
    except ConfigError as error:
        assert str(error).strip() and len(str(error)) < 50_000
        return None
    return run


def places(value, path=()):
    """The paths of all values in nested dictionaries and lists."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in pairs:
        yield from places(inner, (*path, part))


@st.composite
def mutants(draw):
    """One of the configs with some values replaced, removed, renamed or added."""
    config = copy.deepcopy(draw(st.sampled_from(CONFIGS)))
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in places(config) if path]
        if not paths:
            break
        *parents, last = draw(st.sampled_from(paths))
        inner = config
        for part in parents:
            inner = inner[part]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"]))
        if change == "replace":
            inner[last] = draw(junk)
        elif change == "remove":
            del inner[last]
        elif isinstance(inner, dict):
            value = draw(junk) if change == "add" else inner.pop(last)
            inner[draw(names | scalars)] = value
    return config


@quiet
@given(mutants())
def test_mutated_values(config):
    run = outcome(from_dict, config)
    if run is not None:
        assert isinstance(run, Run)
        assert from_dict(yaml.load(dump(run), Loader)) == run
        outcome(check_ranks, run, 4)


@quiet
@given(mutants(), st.sampled_from(["masked", "unetr", "sap", "classification"]))
def test_mutated_files(config, task):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.yaml"
        text = yaml.dump(config, Dumper=Dumper, allow_unicode=draws_unicode(config))
        path.write_text(text, encoding="utf-8", errors="replace")
        outcome(lambda: load(path, task=task))


def draws_unicode(config):
    return "\\ud800" not in ascii(config)


@quiet
@given(st.sampled_from(TEXTS), st.data())
def test_mutated_text(text, data):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.yaml"
        raw = text.encode()
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(raw)))
            stop = data.draw(st.integers(start, min(len(raw), start + 30)))
            marks = st.sampled_from(
                [
                    b"",
                    b":",
                    b"\n",
                    b"\t",
                    b"{",
                    b"]",
                    b"&a ",
                    b"*a",
                    b"!!int ",
                    b"'",
                    b"<<: ",
                    b"- ",
                    b"\x00",
                    b"%",
                ]
            )
            raw = raw[:start] + data.draw(marks | st.binary(max_size=4)) + raw[stop:]
        path.write_bytes(raw)
        outcome(load, path)


overrides = st.builds(
    lambda parts, sign, value: ".".join(parts) + sign + value,
    st.lists(names | st.text(max_size=3), min_size=1, max_size=4),
    st.sampled_from(["=", "=", "=", "", " = ", "=="]),
    st.text(max_size=8)
    | st.sampled_from(["1", "[1, 2]", "{a: 1}", "null", "*a", "&a [*a]", "!!int x", "{ct1: 0.5}", "[64,64]"]),
)


@quiet
@given(st.sampled_from(sorted(HERE.rglob("*.yaml"))), st.lists(overrides, min_size=1, max_size=3))
def test_any_overrides(path, texts):
    outcome(load, path, texts)


@quiet
@given(st.sampled_from(sorted(keys())), junk)
def test_any_value_for_any_key(key, value):
    config = copy.deepcopy(yaml.load((HERE / "small.yaml").read_text(), Loader))
    inner = config
    for part in key.replace("<dataset>", "ct1").split(".")[:-1]:
        inner = inner.setdefault(part, {})
    inner[key.rpartition(".")[2]] = value
    outcome(from_dict, config)


@quiet
@given(st.text(max_size=10) | names)
def test_any_key_to_explain(key):
    outcome(explain, key)


text_values = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["1e-5", "1:1", "yes", "~", "2026-01-01", "0x1", "01", "<<", "!x", "\x85", "a\u2028b"]
)


@settings(quiet, max_examples=30)
@given(text_values, text_values, st.floats(0, 1e6, exclude_min=True))
def test_any_text_and_number_survives_a_dump(name, path, lr):
    assume(name not in ("", ".", "..") and not set(name) & set("/\\\0") and path and not is_remote(path))
    config = copy.deepcopy(yaml.load((HERE / "small.yaml").read_text(), Loader))
    path = escaped(path)
    config["data"]["dict_root_dirs"] = {name: path}
    config["data"].pop("dict_end_idx")
    config["trainer"]["checkpoint_path"] = path
    config["optimizer"]["lr"] = lr
    run = from_dict(config)
    assert yaml.load(dump(run), Loader) == run.model_dump(exclude_none=True)
    assert from_dict(yaml.load(dump(run), Loader)) == run


@pytest.mark.parametrize("size", [10, 10_000])
def test_wide_aliases_do_not_explode(size):
    lines = [f"a0: &a0 [{'x,' * 10}]"] + [f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]" for i in range(1, 12)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.yaml"
        path.write_text("\n".join(lines) + f"\nmodel: {{depth: *a11}}\n# {'x' * size}\n")
        assert outcome(load, path) is None
