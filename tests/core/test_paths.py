"""Paths and URLs as users write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.config import dump, from_dict, load
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.core.files.paths import escaped, expanded, local_path, path_or_url


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SCRATCH", "/scratch/a$b")
    monkeypatch.setenv("TILDE", "~")
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/me"),
        ("~/runs", "/home/me/runs"),
        ("$HOME/runs", "/home/me/runs"),
        ("a/${HOME}b", "a//home/meb"),
        ("$SCRATCH/x", "/scratch/a$b/x"),
        ("$TILDE/x", "/home/me/x"),
        ("a/~/b", "a/~/b"),
        ("cost$$HOME", "cost$HOME"),
        ("5$ a$.b", "5$ a$.b"),
        ("s3://b$HOME/x", "s3://b/home/me/x"),
        ("https://host/~me", "https://host/~me"),
        ("file:///a/b%20c", "/a/b c"),
        ("", ""),
    ],
)
def test_expansion_of_paths(text: str, path: str) -> None:
    assert path_or_url(text) == path


@pytest.mark.parametrize("text", ["$NOWHERE/x", "${NOWHERE}", "${HOME:-x}", "~nobody-of-this-name/x"])
def test_unknown_variables_and_users_are_errors(text: str) -> None:
    with pytest.raises(UserError, match=r"no (variable|user)") as error:
        path_or_url(text)
    assert text in str(error.value)


@given(st.text("$a{}~/HOME ", max_size=12))
def test_an_escaped_path_expands_to_itself(path: str) -> None:
    assert expanded(escaped(path)) in (path, f"./{path}")


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "https://host/x", "hdfs://host/x", "s3:/bucket/x", "no://x"]
)
def test_urls_where_files_are_needed(url: str) -> None:
    with pytest.raises(UserError, match=url):
        local_path(url)


def test_variables_that_hold_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "s3://key:secret@bucket")
    monkeypatch.setenv("USER_PART", "key:secret@bucket")
    for text in ("$DATA/x", "s3://$USER_PART/x"):
        with pytest.raises(UserError, match="credentials") as error:
            path_or_url(text)
        assert "secret" not in str(error.value)


PATHS = {
    "trainer": ("checkpoint_path", "start_from", "mae_checkpoint_path"),
    "load_balancing": ("plan",),
    "data": ("cache_dir",),
}
DICTIONARIES = ("dict_root_dirs", "dict_stats")


def config(text: str) -> dict[str, dict[str, object]]:
    """A run with `text` for every path in it."""
    values: dict[str, dict[str, object]] = {name: dict.fromkeys(keys, text) for name, keys in PATHS.items()}
    values["data"] |= {name: {"ct": text} for name in DICTIONARIES}
    values["data"] |= {"dataset": "basic_ct", "order": "rank"}
    network = {"default_vars": ["ct"], "tile_size": [16, 16, 16], "patch_size": 8, "embed_dim": 24}
    values["trainer"]["task"] = "masked"
    return values | {"model": network | {"depth": 1, "num_heads": 2}}


def test_every_path_of_a_config() -> None:
    run = from_dict(config("$SCRATCH/~"))
    values = run.model_dump()
    for again in (run, from_dict(values)):
        found = [getattr(getattr(again, name), key) for name, keys in PATHS.items() for key in keys]
        found += [getattr(again.data, name)["ct"] for name in DICTIONARIES]
        assert found == ["/scratch/a$b/~"] * 7
    Path("dumped.yaml").write_text(dump(run))
    assert load("dumped.yaml") == run
    with pytest.raises(ConfigError, match=r"7 errors(?s:.*)no variable NOWHERE"):
        from_dict(config("$NOWHERE/x"))


def test_a_config_file_itself(small_config: str) -> None:
    Path("$b.yaml").write_text(small_config)
    Path("~c.yaml").write_text(small_config)
    assert load(Path("$b.yaml")).source_path == Path("$b.yaml")
    for text in ("$$b.yaml", "./~c.yaml"):
        load(text)
    with pytest.raises(UserError, match=r"no variable b"):
        load("$b.yaml")
    with pytest.raises(UserError, match="expected a path on a file system"):
        load("s3://bucket/c.yaml")


@pytest.fixture
def small_config() -> str:
    return dump(from_dict(config("x")))


def test_overrides(small_config: str) -> None:
    Path("c.yaml").write_text(small_config)
    run = load("c.yaml", ["data.dict_root_dirs.ct=~/data", "trainer.start_from=$SCRATCH/best"])
    assert run.data.dict_root_dirs == {"ct": "/home/me/data"}
    assert run.trainer.start_from == "/scratch/a$b/best"
    with pytest.raises(ConfigError, match=r"override data.cache_dir=\$NOWHERE: data.cache_dir: .*NOWHERE"):
        load("c.yaml", ["data.cache_dir=$NOWHERE"])
