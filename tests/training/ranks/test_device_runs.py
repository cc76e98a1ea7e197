"""Whole runs on every device: trained, resumed and evaluated as on the CPU."""

import math
from pathlib import Path

import pytest

import runs
from devices import each_device


@each_device
@pytest.mark.parametrize("task", list(runs.TASKS))
def test_a_run_is_that_of_the_cpu(
    tmp_path: Path, concrete: Path, coloured: Path, task: str, device: str
) -> None:
    root = coloured if task == "classification" else concrete
    found = []
    for name, place in (("expected", "cpu"), ("found", device)):
        settings = {"device": place, "max_steps": 4}
        config = runs.write_config(
            tmp_path / name / "c.yaml", task, root, trainer=settings, model={"lr": 1e-4}
        )
        runs.train(config)
        found.append(
            [
                runs.losses(tmp_path / name / "out", *key)
                for key in (("step",), ("validation", "validation/loss"))
            ]
        )
    (steps, held_out), (other_steps, other_held_out) = found
    assert len(steps) == 4 and held_out
    assert other_steps == pytest.approx(steps, rel=2e-3)
    assert other_held_out == pytest.approx(held_out, rel=2e-3)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # torch's compiler has advice of its own
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_goes_on_where_it_stopped(tmp_path: Path, concrete: Path, kind: str, compiled: bool) -> None:
    settings = {"device": "cuda", "data_type": kind, "compile": compiled}
    config = runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer=settings)
    runs.train(config, "trainer.max_steps=2")
    runs.train(config, "trainer.max_steps=5", "trainer.resume_from_checkpoint=true")
    losses = runs.losses(tmp_path / "out")
    assert list(losses) == [1, 2, 3, 4, 5]
    assert all(map(math.isfinite, losses.values()))
