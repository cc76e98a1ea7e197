"""Trainings with the hook `mlflow`: what is in the store afterwards, and what can go wrong meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import runs
from tracking.conftest import Server, recorded
from ucf_vit.core.errors import ConfigError
from ucf_vit.tracking import mlflow_hook
from ucf_vit.tracking.commands import deliver_run
from ucf_vit.tracking.delivery import undelivered
from ucf_vit.training.saved_runs.open_trained import open_trained

pytestmark = pytest.mark.deep

RESUME = "trainer.resume_from_checkpoint=true"


def config_of(tmp_path: Path, root: Path, task: str = "masked", **tracking: Any) -> Path:
    trainer = {"hooks": ["mlflow"], "pictures": task == "segmentation"}
    return runs.write_config(tmp_path / "c.yaml", task, root, trainer=trainer, tracking=tracking)


def assert_all_recorded(uri: str, out: Path) -> Any:
    """Every value of metrics.jsonl once, and no other; returns the run."""
    run, metrics = recorded(uri)
    for event, names in (("step", ("loss", "lr", "grad_norm")), ("validation", ("validation/loss",))):
        for name in names:
            assert metrics.get(name, []) == list(runs.losses(out, event, name).items()), name
    assert undelivered(out) == 0
    return run


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, concrete: Path, empty_database: Path) -> Path:
    """The output of a segmentation that was tracked in the default store."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    runs.train(config_of(folder, concrete, "segmentation", tags={"group": "a"}, name="mine", wait=300))
    return folder / "out"


def test_a_tracked_run(tracked: Path) -> None:
    run = assert_all_recorded(f"sqlite:///{tracked.parent / 'mlflow.db'}", tracked)
    assert (run.info.status, run.info.run_name, run.data.tags["group"]) == ("FINISHED", "mine", "a")
    assert run.data.params["model.feature_size"] == "4"
    assert run.data.tags["environment.torch"].startswith(torch.__version__.split("+")[0])
    assert {"mlflow.source.git.commit", "environment.Python"} <= set(run.data.tags)
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 1
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    found = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    expected = {
        "config.yaml",
        "report.html",
        "log.txt",
        "metrics.jsonl",
        "pictures/loss.png",
        "model/MLmodel",
    }
    assert expected <= found
    for name in ("config.yaml", "report.html", "pictures/example.png"):
        assert (artifacts / name).read_bytes() == (tracked / name).read_bytes()
    step = open_trained(tracked).step
    assert (artifacts / f"checkpoints/step_{step}/meta.json").read_bytes() == (
        tracked / "best/meta.json"
    ).read_bytes()
    assert not list(artifacts.rglob("*.pkl"))


def test_the_model_of_a_tracked_run(tracked: Path) -> None:
    """As its users open it: by the run's id, without the package's own files."""
    import mlflow

    uri = f"sqlite:///{tracked.parent / 'mlflow.db'}"
    run, _ = recorded(uri)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    trained = open_trained(tracked)
    image = np.random.default_rng(0).random((3, 1, 16, 16, 16), dtype=np.float32)
    with torch.no_grad():
        expected = trained.task.model(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(model.predict(image), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(Exception, match="shape"):
        model.predict(image[..., :8])


def test_a_run_that_is_resumed(tracked: Path) -> None:
    """The same run of MLflow gets the further epoch."""
    uri = f"sqlite:///{tracked.parent / 'mlflow.db'}"
    before, _ = recorded(uri)
    runs.train(tracked.parent / "c.yaml", RESUME, "trainer.max_epochs=3")
    run = assert_all_recorded(uri, tracked)
    assert run.info.run_id == before.info.run_id
    assert run.data.tags["changed.trainer.max_epochs"] == "3 (from step 12)"


def test_a_server_that_is_killed_and_started_again(
    tmp_path: Path, concrete: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a training that does not wait for it."""
    config = config_of(tmp_path, concrete, store=server.url, wait=300)
    on_step, times = mlflow_hook.MlflowHook.on_step, []

    def with_outage(self: Any, state: Any, metrics: Any) -> None:
        if state.step == 3:
            wait_for(lambda: undelivered(tmp_path / "out") == 0)
            server.kill()
        if state.step == 9:
            time.sleep(3)  # until the process beside it has noticed
        began = time.perf_counter()
        on_step(self, state, metrics)
        times.append(time.perf_counter() - began)
        if state.step == 10:
            server.start()

    monkeypatch.setattr(mlflow_hook.MlflowHook, "on_step", with_outage)
    runs.train(config, "trainer.max_epochs=4")
    assert_all_recorded(server.url, tmp_path / "out")
    text = (tmp_path / "out/log.txt").read_text()
    assert text.count("does not take the run") == 1 and text.count("takes the run again") == 1
    assert sorted(times)[len(times) // 2] < 0.002


@contextlib.contextmanager
def hanging_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connections: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listening.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        for one in connections:
            one.close()


def test_a_server_that_hangs(
    tmp_path: Path, concrete: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training waits as long as it was told, and the next one delivers everything to another store."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    on_end, waited = mlflow_hook.MlflowHook.on_end, []

    def once_told(self: Any, state: Any) -> None:
        wait_for(lambda: self.courier.listen() or "does not take" in (tmp_path / "out/log.txt").read_text())
        began = time.monotonic()
        on_end(self, state)
        waited.append(time.monotonic() - began)

    with hanging_server() as url:
        config = config_of(tmp_path, concrete, store=url, wait=4)
        with monkeypatch.context() as patch:
            patch.setattr(mlflow_hook.MlflowHook, "on_end", once_told)
            runs.train(config)
    assert 4 <= waited[0] < 8
    text = (tmp_path / "out/log.txt").read_text()
    assert text.count("does not take the run") == 1
    assert "entries are not delivered" in text and undelivered(tmp_path / "out") > 10
    runs.train(config, RESUME, f"tracking.store={database}", "trainer.max_epochs=3", "tracking.wait=300")
    assert_all_recorded(f"sqlite:///{database}", tmp_path / "out")


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_a_training_that_is_killed_and_resumed(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, database: Path, with_checkpoint: bool
) -> None:
    """After its first checkpoint or before: the run of MLflow goes on, and has every step once."""
    config = config_of(tmp_path, concrete, store=str(database), wait=300)
    settings = [f"trainer.checkpoint_steps={2 if with_checkpoint else 0}", "trainer.max_epochs=3", RESUME]
    step = 5 if with_checkpoint else 3
    process = forkserver.Process(  # type: ignore[attr-defined]
        target=runs.hold_after, args=(config, step, *settings)
    )
    process.start()
    wait_for(lambda: (tmp_path / "held").exists() and undelivered(tmp_path / "out") == 0)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_for(lambda: recorded(f"sqlite:///{database}")[0].info.status == "KILLED")
    runs.train(config, *settings)
    run = assert_all_recorded(f"sqlite:///{database}", tmp_path / "out")
    assert run.info.status == "FINISHED"


def test_a_signal_and_an_error(tmp_path: Path, concrete: Path, database: Path) -> None:
    config = config_of(tmp_path, concrete, store=str(database), wait=300)
    bad = tmp_path / "hook.py"
    bad.write_text(
        "import os, signal\nfrom ucf_vit.training.hooks.hook import Hook\n"
        "class Ends(Hook):\n"
        "    last = True\n"
        "    def on_step(self, state, metrics):\n"
        "        if state.step == 2: os.kill(os.getpid(), signal.SIGTERM)\n"
        "        if state.step == 5: raise ValueError('at five')\n"
    )
    hooks = f"trainer.hooks=[mlflow,{bad}:Ends]"
    runs.train(config, hooks, "trainer.max_epochs=3")
    deliver_run(tmp_path / "out", 60)
    assert recorded(f"sqlite:///{database}")[0].info.status == "KILLED"
    with pytest.raises(ValueError, match="at five"):
        runs.train(config, hooks, "trainer.max_epochs=3", RESUME)
    run = assert_all_recorded(f"sqlite:///{database}", tmp_path / "out")
    assert run.info.status == "FAILED" and run.data.tags["error"] == "ValueError: at five"


def test_all_checkpoints_of_a_training_that_replaces_them(
    tmp_path: Path, concrete: Path, database: Path
) -> None:
    """In the background, so that an event is there before its checkpoint."""
    config = config_of(tmp_path, concrete, store=str(database), checkpoints="all", wait=300)
    runs.train(config, "trainer.checkpoint_async=true", "trainer.checkpoint_steps=2")
    run, _ = recorded(f"sqlite:///{database}")
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    last = max(runs.losses(tmp_path / "out"))
    assert (artifacts / f"checkpoints/step_{last}/model.safetensors").is_file()
    assert not [path for path in (tmp_path / "out/tracking").iterdir() if path.is_dir()]


def test_credentials_stop_a_run_before_it_starts(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "verysecret")
    config = config_of(tmp_path, concrete, store="http://mlflow.example.org")
    with pytest.raises(ConfigError, match=r"c.yaml:\d+: tracking.store.*MLFLOW_TRACKING_TOKEN"):
        runs.train(config)
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"verysecret" not in path.read_bytes()
