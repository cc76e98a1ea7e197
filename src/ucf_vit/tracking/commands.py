"""MLflow's pages, and delivery without a training, for `ucf-vit track`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.core.log import say
from ucf_vit.tracking.delivery import POLL, Delivery, alone, undelivered
from ucf_vit.tracking.mlflow_run import SETTINGS
from ucf_vit.tracking.spool import EVENTS, FOLDER, last_start
from ucf_vit.tracking.store import Store

HOST = "127.0.0.1"


def place_of(directory: Path) -> Path:
    """Returns the SQLite file of a tracked run. Raises UserError for a run on a server, naming the server."""
    store = Store.of(_started(directory), directory)
    if store.is_server:
        raise UserError(f"{directory} is tracked on a server, whose pages are at {store.place}")
    return Path(store.place)


def open_pages(database: Path, port: int) -> None:
    """Serves MLflow's pages of an SQLite file to this machine only, until Ctrl-C."""
    if not database.is_file():
        raise UserError(f"{database}: no such file; it is written by runs with trainer.hooks=[mlflow]")
    _require_mlflow()
    say(f"MLflow's pages of {database}: http://{HOST}:{port} (Ctrl-C ends them)")
    uri = Store(str(database)).uri
    command = ["server", "--backend-store-uri", uri, "--host", HOST, "--port", str(port), "--workers", "1"]
    environment = {**os.environ, **SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen([sys.executable, "-m", "mlflow", *command], env=environment) as server:
        try:
            status = server.wait()
        except KeyboardInterrupt:
            server.wait()
            return
    if status > 0:
        raise UserError(f"MLflow's server ended with status {status}; is port {port} in use? (--port)")


def deliver_run(directory: Path, seconds: float) -> str:
    """Delivers what a run has not delivered yet, and returns a sentence about it.

    Raises UserError if something is left after that many seconds, or another process delivers the run.
    """
    _started(directory)
    _require_mlflow()
    until = time.monotonic() + seconds
    with alone(directory, lambda: False) as mine:
        if not mine:
            raise UserError(f"{directory}: another process delivers this run at the moment")
        before = undelivered(directory)
        delivery = Delivery(directory, lambda level, text: say(text))
        try:
            while not delivery.attempt() and (left := until - time.monotonic()) > 0:
                time.sleep(min(delivery.pause or POLL, left))
        finally:
            delivery.close()
    if rest := undelivered(directory):
        raise UserError(f"{directory}: {rest} of {before} entries are still not delivered")
    return f"{directory}: {before} entries delivered, run {delivery.progress.run_id}"


def _require_mlflow() -> None:
    if find_spec("mlflow") is None:
        raise UserError("ucf-vit track needs mlflow: pip install 'ucf-vit[mlflow]'")


def _started(directory: Path) -> str:
    """Returns `tracking.store` of a tracked run. Raises UserError if the run is not tracked."""
    path = directory / FOLDER / EVENTS
    start = last_start(path) if path.is_file() else None
    if start is None:
        raise UserError(f"{directory}: no run that was trained with trainer.hooks=[mlflow]")
    return str(start["store"])
