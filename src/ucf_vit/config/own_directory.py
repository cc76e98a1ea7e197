"""A run's own config.yaml: the directory that it lies in is the directory of the run."""

from __future__ import annotations

import logging
from pathlib import Path

from ucf_vit.config.run import Run

log = logging.getLogger(__name__)
CONFIG = "config.yaml"
"""File that a run writes into its directory: its config with every default filled in."""
OF_A_RUN = ("run.json", "*/meta.json")
"""Names in the directory of a run: the list of its files, or its checkpoints."""


def config_of(path: Path) -> Path:
    """`path`, or the config of the run whose directory `path` is."""
    inside = path / CONFIG
    return inside if inside.is_file() else path


def in_own_directory(run: Run, path: Path) -> Run:
    """The same run, in the directory of `path` if that holds the run: it may have been renamed or copied.

    It does where `path` is called config.yaml and lies beside what only a run has. An override of
    trainer.checkpoint_path stands.
    """
    if path.name != CONFIG or run.from_override("trainer.checkpoint_path"):
        return run
    own, said = path.absolute().parent, Path(run.trainer.checkpoint_path)
    if own.resolve() == said.resolve() or not any(any(own.glob(one)) for one in OF_A_RUN):
        return run
    shown = str(path.parent) if path.parent.name else str(own)
    log.warning(
        "%s says trainer.checkpoint_path %s, but lies in the directory of a run: taking that, %s",
        *(path, said, shown),
    )
    return run.model_copy(update={"trainer": run.trainer.model_copy(update={"checkpoint_path": shown})})
