"""Mode simple: two processes give the losses of one with the same global batch."""

from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

import runs
from ucf_vit.core.errors import ConfigError


@pytest.mark.parametrize(
    "task",
    [
        "masked",
        *(
            pytest.param(one, marks=pytest.mark.deep)
            for one in ("segmentation", "token_segmentation", "classification")
        ),
    ],
)
def test_two_processes_equal_one(
    tmp_path: Path, concrete: Path, coloured: Path, forkserver: BaseContext, task: str
) -> None:
    data = coloured if task == "classification" else concrete
    # AdamW turns rounding in tiny gradients into steps of size lr, whatever their size: a fine-tuning rate.
    rate = {"lr": 1e-4}
    one = runs.write_config(tmp_path / "one/c.yaml", task, data, data={"batch_size": 4}, model=rate)
    two = runs.write_config(tmp_path / "two/c.yaml", task, data, data={"batch_size": 2}, model=rate)
    runs.train(one)
    assert runs.on_ranks(forkserver, 2, two) == [0, 0]
    # Kinks of activations make a norm less exact than its loss.
    compared = (("step", "loss", 1e-5), ("step", "grad_norm", 1e-3), ("validation", "validation/loss", 1e-5))
    for event, key, close in compared:
        expected = runs.losses(tmp_path / "one/out", event, key)
        assert len(expected) >= 2
        assert runs.losses(tmp_path / "two/out", event, key) == pytest.approx(expected, rel=close)


def test_accumulation_equals_the_larger_batch(tmp_path: Path, concrete: Path) -> None:
    large = runs.write_config(tmp_path / "large/c.yaml", "masked", concrete, data={"batch_size": 4})
    small = runs.write_config(
        tmp_path / "small/c.yaml", "masked", concrete, data={"batch_size": 2}, trainer={"accumulate_steps": 2}
    )
    runs.train(large)
    runs.train(small)
    expected = runs.losses(tmp_path / "large/out")
    assert runs.losses(tmp_path / "small/out") == pytest.approx(expected, rel=1e-5)


def test_sizes_that_do_not_fit_the_processes_are_refused(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, parallelism={"simple_ddp_size": 8})
    with pytest.raises(ConfigError, match="8"):
        runs.train(config)
