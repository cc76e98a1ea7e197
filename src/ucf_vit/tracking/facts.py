"""Facts about a run in the names and lengths that MLflow takes."""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ucf_vit
from ucf_vit.config import Run, dump
from ucf_vit.core.files.digests import digest_of

LONGEST_NAME, LONGEST_VALUE = 250, 500
"""Numbers of characters that every MLflow server takes."""
_OTHER = re.compile(r"[^\w/ .:-]", re.ASCII)
_SKIPPED = ("trainer.resume_from_checkpoint", "trainer.overwrite")
"""Keys that say how a run is continued, not which run it is."""


def parameters(run: Run) -> dict[str, str]:
    """Returns the config with all defaults as flat parameters: `model.depth` and so on.

    A value that is too long is cut and says so; all are complete in config.yaml.
    """
    values = run.model_dump(exclude_none=True, exclude={"tracking"})
    return {name_of(key): shortened(value) for key, value in _flat(values) if key not in _SKIPPED}


def name_of(name: str) -> str:
    """Returns a name with the characters that MLflow has in names; others become `_`."""
    plain = _OTHER.sub("_", name)
    if posixpath.normpath(plain) != plain or plain.startswith((".", "/")):
        plain = "/".join(part.strip(".") or "_" for part in plain.strip("/").split("/"))
    return plain[:LONGEST_NAME]


def shortened(value: Any) -> str:
    """Returns a value as text, cut to the length that MLflow takes; MLflow refuses an empty text."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    note = f"... ({len(text)} characters: config.yaml)"
    return text[: LONGEST_VALUE - len(note)] + note


def config_digest(run: Run) -> str:
    """Returns a digest of what a run trains, the same for a run that is resumed, also elsewhere."""
    same_anywhere = {"resume_from_checkpoint": False, "overwrite": False, "checkpoint_path": ""}
    trainer = run.trainer.model_copy(update=same_anywhere)
    same = run.model_copy(update={"trainer": trainer, "tracking": type(run.tracking)()})
    return digest_of([dump(same)])


def git_tags() -> dict[str, str]:
    """Returns commit and state of the git repository of the current directory, or else of this package."""
    for place in (Path.cwd(), Path(ucf_vit.__file__).parent):
        commit = _git(place, "rev-parse", "HEAD")
        if commit is not None:
            changed = _git(place, "status", "--porcelain", "--untracked-files=no")
            state = {} if changed is None else {"git.changed": "true" if changed else "false"}
            return {"mlflow.source.git.commit": commit, **state}
    return {}


def _git(place: Path, *arguments: str) -> str | None:
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(place), *arguments],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            env=environment,
        )
        return done.stdout.strip()
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
