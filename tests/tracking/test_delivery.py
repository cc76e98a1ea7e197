"""Everything arrives once, whatever happens to the process that delivers, the connection and the run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tracking.conftest import recorded
from ucf_vit.tracking import courier
from ucf_vit.tracking import delivery as module
from ucf_vit.tracking.delivery import Delivery, alone, undelivered
from ucf_vit.tracking.mlflow_run import MlflowRun
from ucf_vit.tracking.progress import Progress
from ucf_vit.tracking.spool import EVENTS, FOLDER, Spool
from ucf_vit.tracking.store import Store

Said = list[tuple[str, str]]


class Directory:
    """The directory of a run whose events go to an SQLite file."""

    def __init__(self, path: Path, database: Path) -> None:
        self.path, self.database = path, database
        (path / FOLDER).mkdir(parents=True)
        self.said: Said = []
        self.time = 1000

    def write(self, first: int, last: int, *more: dict[str, Any], **start: Any) -> None:
        """A training from one step to another, and more events at its end."""
        spool = Spool(self.path / FOLDER / EVENTS, "digest", keep=first > 1)
        facts = {"digest": "digest", "plain_http": False, "experiment": "masked", "name": "run", "tags": {}}
        facts |= {"store": str(self.database), "parameters": {"model.depth": "2"}, **start}
        self._append(spool, "start", first - 1, **facts)
        for step in range(first, last + 1):
            if spool.is_new("step", step):
                values = {"loss": 1 / step, "lr": 1e-3}
                self._append(spool, "metrics", step, event="step", metrics=values)
        for event in more:
            self._append(spool, event.pop("kind"), last, **event)
        spool.close()

    def _append(self, spool: Spool, kind: str, last: int, **more: Any) -> None:
        self.time += 1
        spool.append({"kind": kind, "step": last, "time": self.time, **more})

    def delivery(self) -> Delivery:
        return Delivery(self.path, lambda level, text: self.said.append((level, text)))

    def deliver(self) -> bool:
        one = self.delivery()
        done = one.attempt()
        one.close()
        return done

    def steps(self, name: str = "loss") -> list[int]:
        return [step for step, _ in recorded(f"sqlite:///{self.database}")[1][name]]


@pytest.fixture
def directory(tmp_path: Path, database: Path) -> Directory:
    return Directory(tmp_path / "run", database)


END = {"kind": "end", "status": "FINISHED", "tags": {}}


def test_a_run_from_begin_to_end(directory: Directory) -> None:
    (directory.path / "config.yaml").write_text("a: 1\n")
    (directory.path / "pictures").mkdir()
    (directory.path / "pictures/loss.png").write_bytes(b"png")
    files = {"kind": "files", "files": ["config.yaml", "pictures/loss.png", "missing.txt"]}
    directory.write(1, 5, files, dict(END), tags={"mine": "yes", "empty": ""})
    assert undelivered(directory.path) == 8
    assert directory.deliver() and undelivered(directory.path) == 0
    run, metrics = recorded(f"sqlite:///{directory.database}")
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert (run.info.start_time, run.info.end_time) == (1001, 1008)
    assert run.data.params == {"model.depth": "2"} and run.data.tags["mine"] == "yes"
    assert metrics["loss"] == [(step, 1 / step) for step in range(1, 6)]
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert artifacts.is_relative_to(directory.database.parent / "mlflow-artifacts")
    found = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    assert found == {"config.yaml", "pictures/loss.png"}
    assert directory.said == []


def test_a_resumed_run_goes_on_in_the_same(directory: Directory) -> None:
    directory.write(1, 5)
    directory.deliver()
    directory.write(4, 8, dict(END), parameters={"model.depth": "2", "trainer.max_epochs": "9"})
    directory.deliver()
    run, _ = recorded(f"sqlite:///{directory.database}")
    assert directory.steps() == list(range(1, 9)) and run.info.status == "FINISHED"
    assert run.data.params == {"model.depth": "2", "trainer.max_epochs": "9"}


def test_a_parameter_that_changes_becomes_a_tag(directory: Directory) -> None:
    directory.write(1, 2)
    directory.write(3, 4, parameters={"model.depth": "3"})
    assert directory.deliver()
    run, _ = recorded(f"sqlite:///{directory.database}")
    assert run.data.params == {"model.depth": "2"}
    assert run.data.tags["changed.model.depth"] == "3 (from step 2)"


def uncommitted(directory: Directory, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """The next requests of these names succeed, but the answer does not arrive."""
    for name in names:
        done: Callable[..., Any] = getattr(MlflowRun, name)

        def lost(self: MlflowRun, *arguments: Any, done=done, name=name, **options: Any) -> None:
            done(self, *arguments, **options)
            monkeypatch.setattr(MlflowRun, name, done)
            raise ConnectionError("no answer")

        monkeypatch.setattr(MlflowRun, name, lost)


@pytest.mark.parametrize("name", ["start", "log_metrics", "upload", "end"])
def test_an_answer_that_is_lost(directory: Directory, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The store has taken the request, which nobody knows: also if the process is another one then."""
    (directory.path / "config.yaml").write_text("a: 1\n")
    directory.write(1, 5, {"kind": "files", "files": ["config.yaml"]}, dict(END))
    uncommitted(directory, monkeypatch, name)
    one = directory.delivery()
    assert (not one.attempt() and not one.has_ended) or name == "end"
    assert [level for level, _ in directory.said] == ["warning"]
    assert directory.deliver()
    assert directory.steps() == list(range(1, 6))
    assert recorded(f"sqlite:///{directory.database}")[0].info.status == "FINISHED"
    one.close()


def test_metrics_that_have_arrived_are_not_sent_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would refuse the same entry; other stores would keep it twice."""
    directory.write(1, 5)
    directory.deliver()
    folder = directory.path / FOLDER
    read = json.loads((folder / "delivered.json").read_text())
    ends = [end for _, end in module.read_events(folder / EVENTS)]
    Progress(**{**read, "offset": ends[3]}).write(folder)
    sent: list[Any] = []
    monkeypatch.setattr("mlflow.MlflowClient.log_batch", lambda *_, metrics=(), **__: sent.extend(metrics))
    directory.write(6, 7)
    directory.deliver()
    assert [one.step for one in sent if one.key == "loss"] == [6, 7]


def test_a_store_that_is_gone_is_told_once_and_so_is_its_return(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write(1, 3)
    one = directory.delivery()
    with monkeypatch.context() as gone:
        gone.setattr(MlflowRun, "start", lambda *_: (_ for _ in ()).throw(OSError("gone")))
        pauses = []
        for _ in range(8):
            assert not one.attempt()
            pauses.append(one.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert one.attempt() and one.pause == 0
    assert [level for level, _ in directory.said] == ["warning", "info"]
    assert "does not take the run (gone)" in directory.said[0][1]
    one.close()


@pytest.mark.parametrize("how", ["deleted", "unknown", "deleted while it trains"])
def test_a_run_that_was_deleted_is_made_again_whole(directory: Directory, how: str) -> None:
    directory.write(1, 4)
    one = directory.delivery()
    assert one.attempt()
    client = MlflowRun(one.store).client
    former = one.progress.run_id
    if how == "unknown":
        one.progress = replace(one.progress, run_id="0" * 32)
        one.progress.write(one.folder)
    client.delete_run(former)
    directory.write(5, 6)
    if how != "deleted while it trains":
        one.close()
        one = directory.delivery()
    while not one.attempt():
        pass
    assert directory.steps() == list(range(1, 7)) and one.progress.run_id != former
    assert any("a new one gets all metrics" in text for _, text in directory.said)
    one.close()


def test_another_store_gets_the_whole_run(directory: Directory, empty_database: Path) -> None:
    directory.write(1, 4)
    directory.deliver()
    directory.database = directory.database.with_name("other.db")
    directory.database.write_bytes(empty_database.read_bytes())
    directory.write(5, 6)
    assert directory.deliver()
    assert directory.steps() == list(range(1, 7))


def test_a_deleted_experiment_is_restored(directory: Directory) -> None:
    directory.write(1, 2)
    directory.deliver()
    client = MlflowRun(Store(str(directory.database))).client
    client.delete_experiment(client.get_experiment_by_name("masked").experiment_id)
    directory.write(3, 4)
    one = directory.delivery()
    while not one.attempt():
        pass
    assert directory.steps() == list(range(1, 5))
    one.close()


def test_what_the_store_refuses_is_named_and_the_rest_arrives(directory: Directory) -> None:
    """An event that can never be taken must not hold up those behind it."""
    directory.write(1, 3)
    path = directory.path / FOLDER / EVENTS
    bad = {"kind": "metrics", "event": "step", "step": 4, "time": 1, "metrics": {"bad?name": 1.0}}
    path.write_bytes(path.read_bytes() + json.dumps(bad).encode() + b"\nno event\n")
    directory.write(5, 6)
    assert directory.deliver()
    assert directory.steps() == [1, 2, 3, 5, 6]
    assert [text[:25] for _, text in directory.said if "step 4" in text] == ["metrics of step 4 left ou"]
    assert any("cannot be read" in text for _, text in directory.said)


def test_a_long_backlog_goes_in_batches(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[int] = []
    log = MlflowRun.log_metrics

    def counted(self: MlflowRun, events: Any, compare: bool) -> None:
        requests.append(sum(len(event["metrics"]) for event in events))
        log(self, events, compare)

    monkeypatch.setattr(MlflowRun, "log_metrics", counted)
    directory.write(1, 1300)
    assert directory.deliver()
    assert max(requests) <= 1000 and len(requests) <= 4
    assert directory.steps() == list(range(1, 1301))


def test_files_that_come_again_later_are_uploaded_once(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory.path / "a.png").write_bytes(b"png")
    uploads: list[Path] = []
    monkeypatch.setattr(MlflowRun, "upload", lambda self, path, folder=None: uploads.append(path))
    directory.write(1, 2, *({"kind": "files", "files": ["a.png"]} for _ in range(3)))
    assert directory.deliver()
    assert uploads == [directory.path / "a.png"]


def test_the_same_names_and_numbers_in_both_directions(directory: Directory) -> None:
    spool_values = {"loss": float("nan"), "grad_norm": float("inf"), "tile_seconds/a b": 1.0}
    directory.write(1, 1, {"kind": "metrics", "event": "validation", "metrics": spool_values})
    assert directory.deliver()
    _, metrics = recorded(f"sqlite:///{directory.database}")
    assert set(metrics) == {"loss", "lr", "grad_norm", "tile_seconds/a b"}


def test_a_model_that_cannot_be_made_holds_nothing_up(directory: Directory) -> None:
    """Nor does a checkpoint that is not there any more; the last step is delivered after them."""
    (directory.path / FOLDER / "left by a kill").mkdir()
    missing = {"kind": "checkpoint", "name": "best", "step": 3, "time": 0}
    directory.write(1, 3, {"kind": "model"}, missing, dict(END))
    assert directory.deliver()
    assert recorded(f"sqlite:///{directory.database}")[0].info.status == "FINISHED"
    assert [text.split(" left out")[0] for _, text in directory.said] == [
        "model of step 3",
        "checkpoint of step 3",
    ]
    assert not (directory.path / FOLDER / "left by a kill").exists()


@pytest.mark.deep
def test_a_process_that_is_killed_is_started_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "RESTART", 0.0)
    directory.write(1, 3)
    beside = courier.Courier(directory.path)
    first = beside._process.pid
    os.kill(first, signal.SIGKILL)
    while beside._process.pid == first:
        beside.listen()
    directory.write(4, 6, dict(END))
    beside.finish(300)
    assert undelivered(directory.path) == 0 and directory.steps() == list(range(1, 7))


def test_only_one_process_delivers(directory: Directory) -> None:
    with alone(directory.path, lambda: False) as first, alone(directory.path, lambda: False) as second:
        assert first and not second
    with alone(directory.path, lambda: False) as third:
        assert third
