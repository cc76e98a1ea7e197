"""Checks of the output directory, before anything is predicted, and the facts kept in it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ucf_vit.checkpoint import META
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.files.urls import is_remote
from ucf_vit.inference.inputs import Case
from ucf_vit.training.postprocessing_file import Chosen
from ucf_vit.training.saved_runs.open_trained import Trained

log = logging.getLogger(__name__)
ABOUT = "prediction.json"
"""File that says which checkpoint the predictions in a directory are of."""
_DECISIVE = ("sha256", "overrides", "mirror", "postprocessing")


def about(
    members: Sequence[Trained[Any]],
    overrides: Sequence[str],
    mirror: bool = False,
    postprocessing: Chosen | None = None,
) -> dict[str, Any]:
    """Returns what predictions depend on: checkpoints, overrides, mirroring, post-processing."""
    digests = [hashlib.sha256((one.directory / META).read_bytes()).hexdigest() for one in members]
    several = len(members) > 1
    return {
        "checkpoint": [str(one.directory) for one in members] if several else str(members[0].directory),
        "step": [one.step for one in members] if several else members[0].step,
        "sha256": sorted(digests) if several else digests[0],
        "overrides": list(overrides),
        **({"mirror": True} if mirror else {}),
        **({"postprocessing": postprocessing.operations.dump()} if postprocessing else {}),
    }


def in_words(members: Sequence[Trained[Any]]) -> str:
    """Returns the checkpoints with their steps."""
    return " + ".join(f"{one.directory} (step {one.step})" for one in members)


def check_names(cases: Sequence[Case]) -> None:
    """Raises UserError where two inputs would have the same output."""
    files: dict[str, str] = {}
    for case in cases:
        name = case.name.casefold()
        if name in files:
            raise UserError(
                f"{files[name]} and {case.item.image}: both would be written as {case.name}; predict them "
                "into different directories"
            )
        files[name] = case.item.image


def check_apart(cases: Sequence[Case], written: Callable[[Case], Sequence[Path]]) -> None:
    """Raises UserError where a prediction would be written into a directory of inputs.

    It could replace an input, and would be an input the next time.
    """
    folders = {path.parent.resolve() for case in cases for path in written(case)}
    for case in cases:
        for part in case.dataset.source.parts(case.item):
            if not is_remote(part) and Path(part).parent.resolve() in folders:
                raise UserError(
                    f"--output {Path(part).parent}: holds inputs, such as {part}; name another directory"
                )


def open_output(
    directory: Path,
    facts: Mapping[str, Any],
    existing: Sequence[Path],
    overwrite: bool,
    files: Mapping[str, str],
) -> None:
    """Makes the directory, and writes `facts` and `files` (texts by name) into it.

    Raises UserError where `existing` outputs are not predictions, and where the directory holds those of
    another checkpoint, unless `overwrite`.
    """
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--output {directory}: is a file; name a directory")
    before = _read(directory / ABOUT)
    if existing and before is None:
        raise UserError(
            f"{existing[0]}: exists, and no prediction wrote it (there is no {ABOUT} in {directory}); name "
            "another directory"
        )
    if before is not None and any(before.get(key) != facts.get(key) for key in _DECISIVE):
        message = f"{directory}: holds predictions of {_told(before)}, not of {_told(facts)}"
        if not overwrite:
            raise UserError(f"{message}; name another directory, or replace them with --overwrite")
        log.warning("%s; those of other inputs stay", message)
    for name, text in {ABOUT: json.dumps(facts, indent=1) + "\n", **files}.items():
        write_atomic(directory / name, text)


def _told(facts: Mapping[str, Any]) -> str:
    mirrored = ", mirrored" if facts.get("mirror") else ""
    mirrored += ", post-processed" if facts.get("postprocessing") else ""
    return (
        f"{facts.get('checkpoint')} (step {facts.get('step')}, overrides {facts.get('overrides')}{mirrored})"
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
