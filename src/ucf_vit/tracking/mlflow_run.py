"""The run in MLflow: what is asked of its client."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ucf_vit.core.errors import UserError
from ucf_vit.tracking.facts import shortened
from ucf_vit.tracking.spool import Event
from ucf_vit.tracking.store import Store, is_loopback

TOKEN = "ucf_vit.token"
"""Tag with the token of the spool, by which a run is found that was created by a process that was killed."""
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Environment of MLflow's client, unless the user has set these: requests are repeated by `Delivery`."""
MOST_METRICS, MOST_PARAMETERS = 1000, 100
"""Numbers that MLflow takes in one request."""


class RunLostError(Exception):
    """Error for a run that was deleted, or that the store does not know."""


def _bypass_proxy(url: str) -> None:
    """Lets requests to this machine go through no proxy, which could read their credentials."""
    names = ("NO_PROXY", "no_proxy")
    direct = {urlsplit(url).hostname or ""}.union(*(os.environ.get(name, "").split(",") for name in names))
    os.environ.update(dict.fromkeys(names, ",".join(sorted(filter(None, direct)))))


class MlflowRun:
    """Requests about one run. Every one of them can be repeated, and has the same effect once.

    Args:
        store: the store, which is not contacted here.
        run_id: the run; empty: `start` finds or creates it.
    """

    def __init__(self, store: Store, run_id: str = "") -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        if is_loopback(store.place):
            _bypass_proxy(store.place)
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise UserError("tracking needs mlflow: pip install 'ucf-vit[mlflow]'") from None
        self.store, self.run_id = store, run_id
        if not store.is_server:
            Path(store.place).absolute().parent.mkdir(parents=True, exist_ok=True)
        self.client = MlflowClient(store.uri)

    def check(self) -> None:
        """Raises RunLostError if the run is deleted or unknown."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(self.run_id)
        except MlflowException as cause:
            if cause.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise RunLostError(f"run {self.run_id} is not known to {self.store.place}") from None
        if found.info.lifecycle_stage != "active":
            raise RunLostError(f"run {self.run_id} was deleted")

    def start(self, event: Event, token: str) -> None:
        """Begins or continues the run with the name, tags and parameters of a "start" event.

        A parameter cannot change in MLflow: another value in a resumed run becomes a tag `changed.NAME`.
        """
        if not self.run_id:
            experiment = self._experiment(event["experiment"])
            self.run_id = self._find(experiment, token) or self._create(experiment, event, token)
        self.client.update_run(self.run_id, status="RUNNING", name=event["name"])
        known = self.client.get_run(self.run_id).data.params
        given: Mapping[str, str] = event["parameters"]
        changed = {
            f"changed.{name}": f"{value} (from step {event['step']})"
            for name, value in given.items()
            if known.get(name, value) != value
        }
        self._log_parameters({name: value for name, value in given.items() if name not in known})
        self.set_tags({**event["tags"], **changed})

    def log_metrics(self, events: Sequence[Event], compare: bool) -> None:
        """Writes the metrics of events; with `compare` only those that the run does not have yet."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, float(value), event["time"], event["step"])
            for event in events
            for name, value in event["metrics"].items()
        ]
        if compare:
            arrived = {
                (name, one.step, one.timestamp)
                for name in {metric.key for metric in metrics}
                for one in self.client.get_metric_history(self.run_id, name)
            }
            metrics = [one for one in metrics if (one.key, one.step, one.timestamp) not in arrived]
        for first in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=metrics[first : first + MOST_METRICS])

    def upload(self, path: Path, folder: str | None = None) -> None:
        """Uploads a file, or the files in a directory, to a folder of the run's artifacts."""
        upload = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        upload(self.run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        entities = [RunTag(name, shortened(value)) for name, value in tags.items()]
        for first in range(0, len(entities), MOST_PARAMETERS):
            self.client.log_batch(self.run_id, tags=entities[first : first + MOST_PARAMETERS])

    def end(self, status: str, milliseconds: int | None = None) -> None:
        """Sets the final status: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status, milliseconds or int(time.time() * 1000))

    def _log_parameters(self, parameters: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        entities = [Param(name, value) for name, value in parameters.items()]
        for first in range(0, len(entities), MOST_PARAMETERS):
            self.client.log_batch(self.run_id, params=entities[first : first + MOST_PARAMETERS])

    def _experiment(self, name: str) -> str:
        found: Any = self.client.get_experiment_by_name(name)
        if found is None:
            return str(self.client.create_experiment(name, artifact_location=self._artifacts(name)))
        if found.lifecycle_stage != "active":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _artifacts(self, experiment: str) -> str | None:
        location = self.store.artifacts
        return location and f"{location}/{experiment}"

    def _find(self, experiment: str, token: str) -> str:
        """Returns the run with the token of the spool, empty if there is none."""
        found = self.client.search_runs([experiment], f"tags.`{TOKEN}` = '{token}'", max_results=1)
        return str(found[0].info.run_id) if found else ""

    def _create(self, experiment: str, event: Event, token: str) -> str:
        created = self.client.create_run(
            experiment, start_time=event["time"], tags={TOKEN: token}, run_name=event["name"]
        )
        return str(created.info.run_id)
