"""Where runs go, and when credentials would be seen on the way."""

import re
from pathlib import Path

import pytest

import runs
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError, UserError
from ucf_vit.tracking.store import Store, is_loopback, redacted


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:5000", True),
        ("http://127.0.0.1", True),
        ("http://127.1.2.3:80/mlflow", True),
        ("http://[::1]:5000", True),
        ("http://mlflow.localhost", True),
        ("http://localhost.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
        ("http://[2001:db8::1]:5000", False),
        ("http://mlflow", False),
    ],
)
def test_what_is_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(url) == expected


@pytest.mark.parametrize("name", ["TOKEN", "USERNAME", "PASSWORD", "AUTH"])
def test_credentials_are_not_sent_in_the_open(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    store = Store("http://mlflow.example.org:5000")
    store.check(plain_http=False)
    monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "verysecret")
    with pytest.raises(UserError, match=rf"MLFLOW_TRACKING_{name}.*plain_http") as caught:
        store.check(plain_http=False)
    assert "verysecret" not in str(caught.value)
    store.check(plain_http=True)
    for place in ("https://mlflow.example.org", "http://127.0.0.1:5000", "/data/mlflow.db"):
        Store(place).check(plain_http=False)


def test_credentials_in_files_are_not_sent_in_the_open(tmp_path: Path) -> None:
    """Those that MLflow and requests read without being told."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine mlflow.example.org login me password verysecret\n")
    Store("http://other.example.org").check(plain_http=False)
    with pytest.raises(UserError, match="netrc"):
        Store("http://mlflow.example.org").check(plain_http=False)
    (home / ".mlflow").mkdir()
    (home / ".mlflow/credentials").write_text("[mlflow]\n")
    with pytest.raises(UserError, match="credentials"):
        Store("http://other.example.org").check(plain_http=False)


def test_messages_hide_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "verysecret")
    assert "secret" not in redacted("401: Bearer verysecret at http://me:secret@host/path?token=secret")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("https://mlflow.example.org/a", "https://mlflow.example.org/a"),
        ("sqlite:////data/mlflow.db", "/data/mlflow.db"),
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("$PLACE/mlflow.db", "/data/mlflow.db"),
    ],
)
def test_stores_in_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: str
) -> None:
    monkeypatch.setenv("PLACE", "/data")
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", tmp_path, trainer={"hooks": ["mlflow"]}, tracking={"store": given}
    )
    assert load(config).tracking.store == expected


@pytest.mark.parametrize("given", ["s3://bucket/mlflow", "postgresql://host/db", "http://me:pw@host"])
def test_stores_that_are_refused(tmp_path: Path, given: str) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, tracking={"store": given})
    with pytest.raises(ConfigError, match=r"tracking.store") as caught:
        load(config)
    assert "pw" not in str(caught.value)


def test_a_section_without_the_hook_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path, tracking={"experiment": "mine"})
    load(config)
    assert re.search("tracking.experiment: trainer.hooks does not have mlflow", caplog.text)


def test_the_default_store_is_beside_the_run(tmp_path: Path) -> None:
    store = Store.of("", tmp_path / "runs/a")
    assert store.uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert store.artifacts == (tmp_path / "runs/mlflow-artifacts").as_uri()
