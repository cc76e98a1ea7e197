"""Checks of the output directory, before anything is predicted, and the facts kept in it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ucf_vit.checkpoint import META
from ucf_vit.core.errors import UserError, brief
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.files.urls import is_remote
from ucf_vit.core.lists import first_few
from ucf_vit.data.sources.layouts.separate_files import is_image_file
from ucf_vit.data.sources.listing import is_hidden
from ucf_vit.inference.inputs import Case
from ucf_vit.training.evaluation_files import FOLDER
from ucf_vit.training.postprocessing_file import Chosen
from ucf_vit.training.saved_runs.open_trained import Trained

log = logging.getLogger(__name__)
ABOUT = "prediction.json"
"""File that says which checkpoint the predictions in a directory are of."""
_ENDINGS = (".npz", ".zarr", ".dcm")
"""Ends of the names of predictions that are no files of images."""
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
    others: Callable[[], Sequence[str]],
) -> None:
    """Makes the directory, and writes `facts` and `files` (texts by name) into it.

    Predictions of another checkpoint are removed with `overwrite`, so that none of them counts as one of this
    checkpoint if the call ends before its place is taken. Raises UserError where files that would be replaced
    are not predictions, where the directory holds those of another checkpoint, without `overwrite`, and where
    it holds those of `others`, inputs that are not predicted now, since they would stay.
    """
    if directory.exists() and not directory.is_dir():
        raise UserError(f"--output {directory}: is a file; name a directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise UserError(f"--output {directory}: no such directory can be made ({brief(cause)})") from None
    before = _read(directory / ABOUT)
    replaced = [*existing, *(directory / name for name in (ABOUT, *files) if (directory / name).exists())]
    if replaced and before is None:
        raise UserError(
            f"{replaced[0]}: exists, and no prediction wrote it ({directory} has no {ABOUT} that one wrote); "
            "name another directory"
        )
    if before is not None and any(before.get(key) != facts.get(key) for key in _DECISIVE):
        message = f"{directory}: holds predictions of {_told(before)}, not of {_told(facts)}"
        if not overwrite:
            raise UserError(f"{message}; name another directory, or replace them with --overwrite")
        if stay := others():
            raise UserError(
                f"{message}, also of inputs that are not predicted now ({first_few(stay)}), which would mix; "
                "give all inputs, or name another directory"
            )
        log.warning("%s; they are replaced", message)
        for path in existing:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in {ABOUT: json.dumps(facts, indent=1) + "\n", **files}.items():
        write_atomic(directory / name, text)


def other_files(directory: Path, written: Iterable[Path]) -> list[str]:
    """Returns the predictions below a directory that are not among `written`, by their path in it."""
    own = set(written)
    files = (path for path in sorted(directory.rglob("*")) if not own & {path, *path.parents})
    names = [path.relative_to(directory) for path in files if path.name.endswith(_ENDINGS) or _image(path)]
    return [
        name.as_posix() for name in names if name.parts[0] != FOLDER and not any(map(is_hidden, name.parts))
    ]


def _image(path: Path) -> bool:
    return path.is_file() and is_image_file(path.name)


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
    return facts if isinstance(facts, dict) and "sha256" in facts else None
