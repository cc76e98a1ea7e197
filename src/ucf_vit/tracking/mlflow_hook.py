"""Hook `mlflow`: records a run in MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ucf_vit import checkpoint
from ucf_vit.config import Run
from ucf_vit.core.errors import CheckpointError, UserError, brief
from ucf_vit.parallel.ranks.world import World
from ucf_vit.tracking.courier import Courier
from ucf_vit.tracking.facts import config_digest, git_tags, name_of, parameters
from ucf_vit.tracking.spool import EVENTS, FOLDER, Spool, last_start
from ucf_vit.tracking.store import redacted, store_of
from ucf_vit.tracking.system import SystemMetrics
from ucf_vit.training.hooks.hook import Hook, RunState
from ucf_vit.training.hooks.pictures import PICTURES, picture_files
from ucf_vit.training.hooks.report import environment
from ucf_vit.training.inputs.plan_files import plan_directory
from ucf_vit.training.run_directory import claim

REPORTS = ("report.html", "report.json", "splits.json", "metrics.jsonl", "log.txt")
"""Files of a run that are uploaded at its end, besides config, plan and pictures."""
SECONDS_AT_STOP = 5.0
"""Longest time to wait if a signal ends the run: a cluster may kill it soon."""


class MlflowHook(Hook):
    """Appends what happens to a file in `directory`, and has a process of its own deliver it to MLflow.

    A run that is resumed goes on in the same run of MLflow. Steps that are trained again by the same config
    are not recorded again.

    Args:
        directory: directory of the run.
        run: config of the run; section `tracking` says where to and how.
        world: processes of the run.
    """

    last = True

    def __init__(self, directory: Path, run: Run, world: World) -> None:
        for package in ("mlflow", "psutil"):
            if find_spec(package) is None:
                raise UserError(f"trainer.hooks mlflow needs {package}: pip install 'ucf-vit[mlflow]'")
        try:
            store_of(run).check(run.tracking.plain_http)
        except UserError as error:
            raise run.error("tracking.store", str(error)) from None
        self.directory, self.run, self.options = directory, run, run.tracking
        self.world = world

    def on_start(self, state: RunState) -> None:
        """Begins or continues the run, and starts the process that delivers it."""
        digest = config_digest(self.run)
        claim(self.directory, FOLDER)
        path = self.directory / FOLDER / EVENTS
        keep = state.step > 0 or (self.run.trainer.resume_from_checkpoint and digest == _former_digest(path))
        self.spool = Spool(path, digest, keep)
        self.system = SystemMetrics(self.world.device)
        facts = {f"environment.{name}": text for name, text in environment(self.world.device).items()}
        self._append(
            "start",
            state,
            digest=digest,
            store=self.options.store,
            plain_http=self.options.plain_http,
            experiment=self.options.experiment or self.run.task,
            name=self.options.name or self.directory.absolute().name,
            tags={name_of(name): text for name, text in (facts | git_tags() | self.options.tags).items()},
            parameters=parameters(self.run),
        )
        self._append("files", state, files=["config.yaml"])
        self._append_plan(state)
        self.courier = Courier(self.directory)

    def on_step(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Records the metrics of a step, and now and then those of the machine."""
        self._append_metrics("step", state, {**metrics, **self.system.measure()})

    def on_validation(self, state: RunState, metrics: Mapping[str, float]) -> None:
        """Records the metrics of a validation, and its pictures."""
        self._append_metrics("validation", state, metrics)
        self._append("files", state, files=self._pictures())

    def on_save(self, state: RunState, name: str, seconds: float) -> None:
        """Records a checkpoint, with `tracking.checkpoints: all`."""
        if self.options.checkpoints == "all":
            self._append("checkpoint", state, name=name)

    def on_end(self, state: RunState) -> None:
        """Records all results, and waits for their delivery, at most `tracking.wait` seconds."""
        best = _existing(self.directory)
        if best is not None:
            if self.options.checkpoints == "best":
                self._append("checkpoint", state, name=best[0], step=best[1])
            self._append("model", state)
        self._finish(state, "FINISHED", self.options.wait)

    def on_stop(self, state: RunState) -> None:
        """Records that a signal has ended the run for now."""
        self._finish(state, "KILLED", min(self.options.wait, SECONDS_AT_STOP))

    def on_error(self, state: RunState, error: Exception) -> None:
        """Records that an error has ended the run."""
        text = redacted(f"{type(error).__name__}: {brief(error)}")
        self._finish(state, "FAILED", self.options.wait, {"error": text})

    def _append(self, kind: str, state: RunState, **more: Any) -> None:
        self.spool.append({"kind": kind, "time": int(time.time() * 1000), "step": state.step, **more})

    def _append_metrics(self, event: str, state: RunState, metrics: Mapping[str, float]) -> None:
        if self.spool.is_new(event, state.step):
            values = {name_of(name): float(value) for name, value in metrics.items() if name != "step"}
            self._append("metrics", state, event=event, metrics={**values, "epoch": float(state.epoch)})
        self.courier.listen()

    def _append_plan(self, state: RunState) -> None:
        given = self.run.load_balancing.plan
        folder = Path(given).absolute() if given else plan_directory(self.run.trainer.checkpoint_path)
        if files := [str(path.absolute()) for path in sorted(folder.glob("*")) if path.is_file()]:
            self._append("files", state, files=files, folder="plan")

    def _pictures(self) -> list[str]:
        return [f"{PICTURES}/{path.name}" for path in picture_files(self.directory)]

    def _finish(
        self, state: RunState, status: str, seconds: float, tags: Mapping[str, str] | None = None
    ) -> None:
        if not hasattr(self, "courier"):  # the error was raised before the start
            return
        self._append("files", state, files=[*REPORTS, *self._pictures()])
        self._append("end", state, status=status, tags=dict(tags or {}))
        self.spool.close()
        if self.world.size > 1:  # the other ranks must not take this one for lost
            seconds = min(seconds, self.run.parallelism.timeout / 2)
        self.courier.finish(seconds)


def _former_digest(path: Path) -> str:
    start = last_start(path) if path.exists() else None
    return "" if start is None else str(start["digest"])


def _existing(directory: Path) -> tuple[str, int] | None:
    """Returns name and step of the best checkpoint of a run, or of its newest if there is no best."""
    for path in [directory / checkpoint.BEST, *checkpoint.find_all(directory, "last")]:
        try:
            return path.name, int(checkpoint.read_meta(path)["step"])
        except (CheckpointError, OSError):
            continue
    return None
