"""Credentials in a URL are refused before anything is said or written, wherever they stand."""

import contextlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import runs
from ucf_vit.cli.main import app, guarded
from ucf_vit.core.files.urls import bare, without_credentials

pytestmark = pytest.mark.deep

SECRETS = ("hunter2", "Tr0ub4dor")
ODD = st.text(" '\"/@:%?#&=+$~\\{}[](),;!<>|*^`.é\n\tab1", max_size=4)


@st.composite
def passwords(draw) -> str:
    password = SECRETS[0].join([draw(ODD), draw(ODD)]) + SECRETS[1] + draw(ODD)
    return quote(password, safe="") if draw(st.booleans()) else password


@st.composite
def urls(draw) -> str:
    form = draw(
        st.sampled_from(
            [
                "s3://user:{}@bucket/folder",
                "S3://user:{}@bucket",
                "gs://user:{}@bucket/a@b",
                "https://user:{}@host/folder",
                "http://user:{}@host:80/a",
                "ftp://user:{}@host/a",
                "s3:/user:{}@bucket",
                "file://user:{}@host/a",
                "simplecache::s3://user:{}@bucket",
                "https://user:{}",
            ]
        )
    )
    return form.replace("{}", draw(passwords()))


ARGUMENTS = [
    ("config", "check", "URL"),
    ("config", "show", "CONFIG", "data.dict_root_dirs.tiny=URL"),
    ("config", "check", "CONFIG", "data.dict_root_dirs={tiny: URL}"),
    ("config", "check", "CONFIG", "trainer.no_such_key=URL"),
    ("config", "check", "CONFIG", "URL=1"),
    ("config", "explain", "URL"),
    ("train", "URL"),
    ("train", "CONFIG", "trainer.start_from=URL"),
    ("train", "CONFIG", "trainer.checkpoint_path=URL"),
    ("train", "CONFIG", "trainer.mae_checkpoint_path=URL"),
    ("train", "CONFIG", "data.cache_dir=URL"),
    ("train", "CONFIG", "data.dict_stats={tiny: URL}"),
    ("train", "CONFIG", "data.dataset=URL"),
    ("train", "CONFIG", "load_balancing.plan=URL"),
    ("train", "CONFIG", "--nproc", "URL"),
    ("evaluate", "CONFIG", "--checkpoint", "URL"),
    ("stats", "CONFIG", "URL"),
    ("mesh", "CONFIG", "URL"),
    ("plan", "CONFIG", "--out", "URL"),
    ("plan", "CONFIG", "--profile=URL"),
    ("prepare", "URL", "DIR/out", "--dataset", "basic_ct"),
    ("prepare", "DIR", "URL", "--dataset", "basic_ct"),
    ("prepare", "--verify", "URL"),
    ("prepare", "DIR", "DIR/out", "--dataset", "URL"),
    ("sample", "URL"),
    ("sample", "DIR", "--out", "URL"),
    ("sample", "DIR", "--condition", "class=URL"),
    ("checkpoint", "show", "URL"),
    ("checkpoint", "export", "DIR", "URL"),
    ("synth", "basic_ct", "URL"),
    ("synth", "basic_ct", "DIR/out", "--picture", "URL"),
    ("visualize", "patches", "URL"),
    ("visualize", "patches", "DIR/x.png", "--output", "URL"),
    ("URL",),
    ("train", "CONFIG", "--URL"),
    ("train", "--no-such-option", "URL"),
]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A directory with a config, in which everything happens."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        runs.write_config(Path(name) / "c.yaml", "masked", Path(name))
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def said_by(*arguments: str) -> tuple[int, str]:
    """Exit status of a command, and all that it says: on the terminal and in the log."""
    log, out = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            guarded(app)(list(arguments))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        logging.getLogger().removeHandler(handler)
    return status, out.getvalue() + log.getvalue()


def nothing_secret(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@settings(max_examples=120)
@given(form=st.sampled_from(ARGUMENTS), url=urls())
def test_in_arguments_of_every_command(form: tuple[str, ...], url: str) -> None:
    with workplace() as place:
        words = {"CONFIG": str(place / "c.yaml"), "DIR": str(place), "URL": url}
        arguments = list(form)
        for word, value in words.items():
            arguments = [argument.replace(word, value) for argument in arguments]
        status, said = said_by(*arguments)
        assert status == 2 and "credentials" in said, said
        assert nothing_secret(said)
        assert [path.name for path in place.rglob("*")] == ["c.yaml"]


PLACES = [
    *(("trainer", key) for key in ("start_from", "checkpoint_path", "mae_checkpoint_path", "no_such_key")),
    *(("data", key) for key in ("dataset", "cache_dir", "no_such_key")),
    *(("data", key, "tiny") for key in ("dict_root_dirs", "dict_stats", "dict_normalization")),
    *(("data", "dict_in_variables", "tiny", 0), ("load_balancing", "plan"), ("model", "detail")),
    ("no_such_section",),
]


@settings(max_examples=60)
@given(place=st.sampled_from(PLACES), as_key=st.booleans(), url=urls())
def test_in_values_and_names_of_a_config(place: tuple[str | int, ...], as_key: bool, url: str) -> None:
    value: object = {url: 1} if as_key else url
    for part in reversed(place):
        value = [value] if isinstance(part, int) else {part: value}
    with workplace() as folder:
        (folder / "d.yaml").write_text(json.dumps({"model": {}, "data": {}, **value}))
        status, said = said_by("train", "d.yaml")
        assert status == 2 and "credentials" in said, said
        assert nothing_secret(said)
        assert sorted(path.name for path in folder.rglob("*")) == ["c.yaml", "d.yaml"]


FORMS = ["a: {}\nb: [", "a: {x: {}}\n", "a: {}\n", "- {} x: 1", "a: '{}'\n", "{}"]


@settings(max_examples=60)
@example(url="s3://user: hunter2\nTr0ub4dor@bucket/folder", form="{}")
@given(url=urls(), form=st.sampled_from(FORMS))
def test_in_a_config_that_is_no_yaml_or_means_something_else(url: str, form: str) -> None:
    with workplace() as folder:
        (folder / "d.yaml").write_text(form.replace("{}", url))
        status, said = said_by("config", "check", "d.yaml")
        assert status == 2 and nothing_secret(said)


@settings(max_examples=200)
@example(url="s3://user: hunter2Tr0ub4dor/@bucket/folder", before="")
@example(url="s3://user: hunter2Tr0ub4dor\n@bucket/folder", before="")
@given(url=urls(), before=st.sampled_from(["", "can't read ", "{'a': '"]))
def test_messages_of_other_libraries(url: str, before: str) -> None:
    assert nothing_secret(bare(before + url))
    assume("@" in url)  # without one nobody can tell where it ends
    assert nothing_secret(without_credentials(f"{before}{url}").partition("\n")[0])


def test_a_traceback_shows_none() -> None:
    def main(argument: str) -> None:
        raise ArithmeticError("at https://user:hunter2@host/x: Tr0ub4dor@host")

    out = io.StringIO()
    with contextlib.redirect_stderr(out), pytest.raises(SystemExit) as end:
        guarded(main)("argument")
    assert end.value.code == 1 and "Traceback" in out.getvalue() and "ArithmeticError" in out.getvalue()
    assert nothing_secret(out.getvalue())


@pytest.mark.parametrize(
    "argument",
    [
        "data.dict_root_dirs={a: s3://one, b: s3://two/x@y}",
        "data.dict_root_dirs={a: 's3://one', b: '/x@y'}",
        "data.dict_root_dirs.a=https://host:8080/folder",
        "s3://bucket/a@2x:3?d#e",
        "s3://$BUCKET/x",
        "https://${HOST}:80/x",
        "trainer.checkpoint_path=me@host/runs",
        "https://[::1]:80/x",
    ],
)
def test_urls_without_credentials_are_accepted(argument: str) -> None:
    guarded(lambda *arguments: None)(argument)
