"""The config.yaml that a run writes to its directory."""

from __future__ import annotations

import logging
from pathlib import Path

from ucf_vit.config.run import Run

log = logging.getLogger(__name__)
CONFIG = "config.yaml"
"""File that a run writes to its directory: its config with all defaults filled in."""
OF_A_RUN = ("run.json", "*/meta.json")
"""Files that only the directory of a run has: the list of its files, and its checkpoints."""


def config_of(path: Path) -> Path:
    """Returns `path`, or the config.yaml in it if `path` is the directory of a run."""
    inside = path / CONFIG
    return inside if inside.is_file() else path


def in_own_directory(run: Run, path: Path, *, named: bool) -> Run:
    """Returns `run` with the directory of `path` as trainer.checkpoint_path, if that is a run's directory.

    It is one if `path` is a config.yaml beside files that only a run writes; the directory may have been
    renamed or copied, which is said unless the user has `named` the directory. An override of
    trainer.checkpoint_path takes precedence.
    """
    if path.name != CONFIG or run.from_override("trainer.checkpoint_path"):
        return run
    own, configured = path.absolute().parent, Path(run.trainer.checkpoint_path)
    if own.resolve() == configured.resolve() or not any(any(own.glob(one)) for one in OF_A_RUN):
        return run
    shown = str(path.parent) if path.parent.name else str(own)
    if not named:
        log.warning(
            "%s: the run was renamed or copied from %s; its files are read and written in %s",
            *(path, configured, shown),
        )
    return run.model_copy(update={"trainer": run.trainer.model_copy(update={"checkpoint_path": shown})})
