"""A store of MLflow in an SQLite file, and real servers that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import free_port


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs; to make one takes seconds, to copy it none."""
    pytest.importorskip("mlflow", reason="needs mlflow (pip install 'ucf-vit[mlflow]')")
    from ucf_vit.tracking.mlflow_run import MlflowRun
    from ucf_vit.tracking.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowRun(Store(str(path))).client.search_experiments()
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    path.write_bytes(empty_database.read_bytes())
    return path


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor an MLflow of the machine: neither variables nor files in the home directory."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home/.netrc"))


class Server:
    """A server of MLflow on a port of its own, which can be killed and started again."""

    def __init__(self, database: Path) -> None:
        self.database, self.port = database, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        store = ["--backend-store-uri", f"sqlite:///{self.database}", "--workers", "1"]
        files = ["--artifacts-destination", str(self.database.with_name("artifacts"))]
        silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen(
            [*command, *store, *files],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | silent,
            start_new_session=True,
        )
        for _ in range(3000):
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, "the server did not start"
                time.sleep(0.1)
        self.process.kill()
        self.process.wait()
        raise RuntimeError("the server did not answer")

    def kill(self) -> None:
        """SIGKILL to it and its workers, which are a process group."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(database: Path) -> Iterator[Server]:
    one = Server(database)
    one.start()
    yield one
    one.kill()


def recorded(uri: str) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """The only run in a store, and its metrics: step and value of each entry, by name."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return run, {name: [(one.step, one.value) for one in entries] for name, entries in history.items()}
