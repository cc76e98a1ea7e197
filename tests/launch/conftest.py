"""Real launchers, and the run they are all compared with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_slurm import LocalSlurm, why_not

import runs

SETTINGS: dict[str, Any] = {"max_epochs": 40, "validation_epochs": 20}
RATE = {"lr": 1e-4}
"""AdamW turns rounding in tiny gradients into steps of size lr, whatever their size: a fine-tuning rate."""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    """A SLURM with two nodes."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    cluster = LocalSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        try:
            cluster.start()
        except PermissionError as error:
            pytest.skip(f"needs to make device files for its GPUs ({error})")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> dict[int, float]:
    """The losses by step of one process that nothing disturbs."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    runs.train(runs.write_config(directory / "c.yaml", "masked", concrete, trainer=SETTINGS, model=RATE))
    return runs.losses(directory / "out")


@pytest.fixture
def on_two(tmp_path: Path, concrete: Path) -> Path:
    """The config of the same run for two processes."""
    return runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer=SETTINGS, model=RATE, data={"batch_size": 2}
    )
