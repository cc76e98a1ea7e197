"""Uploads of files: outputs, checkpoints and the model of a run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ucf_vit.core.errors import UserError
from ucf_vit.tracking.mlflow_run import MlflowRun
from ucf_vit.tracking.spool import FOLDER, Event

PATIENCE = 300.0
"""Seconds after which a checkpoint that is not on disk is not waited for any more."""


class NotYetError(Exception):
    """Error for a checkpoint that is being written in the background."""


def upload(directory: Path, run: MlflowRun, event: Event, later: set[str]) -> None:
    """Uploads what an event names: "files" (except those in `later`), a "checkpoint", or the "model".

    Raises UserError for what can never be uploaded, NotYetError for what will be there soon.
    """
    if event["kind"] == "files":
        for name in event["files"]:
            path, parent = directory / name, Path(name).parent
            if name not in later and path.exists():
                run.upload(path, event.get("folder") or (str(parent) if parent.name else None))
    elif event["kind"] == "checkpoint":
        _upload_checkpoint(directory, run, event)
    elif event["kind"] == "model":
        with tempfile.TemporaryDirectory(dir=directory / FOLDER) as folder:
            run.upload(_model(directory, Path(folder) / "model"), "model")


def clean_up(directory: Path) -> None:
    """Removes what a process that was killed has left; only the one that delivers may call it."""
    for path in (directory / FOLDER).iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _model(directory: Path, folder: Path) -> Path:
    """Writes the model. Errors, except those of a disk, would be the same at every try: UserError."""
    try:
        from ucf_vit.tracking.model import write_model

        return write_model(directory, folder)
    except (OSError, UserError):
        raise
    except Exception as cause:
        raise UserError(f"{type(cause).__name__}: {cause}") from None


def _upload_checkpoint(directory: Path, run: MlflowRun, event: Event) -> None:
    """Uploads the checkpoint of a step to `checkpoints/step_N`; one that was replaced since is left out."""
    source = directory / event["name"]
    step = _step_of(source)
    if step is None or step < event["step"]:
        if time.time() < event["time"] / 1000 + PATIENCE:
            raise NotYetError
        raise UserError(f"{source}: not on disk")
    with _snapshot(directory, source) as copy:
        if _step_of(copy) == event["step"]:
            run.upload(copy, f"checkpoints/step_{event['step']}")


def _step_of(path: Path) -> int | None:
    """Returns the step of a checkpoint, None if there is none; without importing torch."""
    try:
        return int(json.loads((path / "meta.json").read_bytes())["step"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


@contextmanager
def _snapshot(directory: Path, source: Path) -> Iterator[Path]:
    """Context with a copy of a checkpoint that stays as it is when the training replaces it.

    The files are never written again, only replaced, so hard links suffice, where the disk has them.
    """
    with tempfile.TemporaryDirectory(dir=directory / FOLDER) as folder:
        copy = Path(folder) / source.name
        try:
            shutil.copytree(source, copy, copy_function=_link)
        except (OSError, shutil.Error):
            raise NotYetError from None
        yield copy


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
