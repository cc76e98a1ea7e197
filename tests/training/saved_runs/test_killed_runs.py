"""A run that is killed at any moment goes on by the same command, and ends as if nothing had been."""

import random
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import pytest

import runs
from ucf_vit import checkpoint
from ucf_vit.checkpoint.saver import Saver

pytestmark = pytest.mark.deep

RESUME = "trainer.resume_from_checkpoint=true"
SETTINGS = {"checkpoint_steps": 2, "checkpoint_keep_best": 2, "checkpoint_keep_last": 3, "max_epochs": 3}
EVENTS = (("step", "loss"), ("validation", "validation/loss"))


def outcome(directory: Path) -> list[dict[int, float]]:
    """Losses of all steps and validations."""
    return [runs.losses(directory, *event) for event in EVENTS]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> list[dict[int, float]]:
    """The outcome of a run that nothing disturbs."""
    directory = tmp_path_factory.mktemp("whole")
    runs.train(runs.write_config(directory / "c.yaml", "masked", concrete, trainer=SETTINGS))
    return outcome(directory / "out")


def hold_after(config: Path, name: str, *overrides: str) -> None:
    """Train; once the checkpoint `name` is there, make a file `held` and sleep."""
    save = Saver.save

    def held(self: Saver, directory: Path, *arguments: Any, **options: Any) -> None:
        save(self, directory, *arguments, **options)
        if directory.name == name:
            (config.parent / "held").touch()
            time.sleep(600)

    Saver.save = held  # type: ignore[assignment, method-assign]
    runs.train(config, *overrides)


def wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.005)


@pytest.mark.parametrize("steps", [0, 4])
def test_a_kill_after_the_first_best(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, expected: list[dict[int, float]], steps: int
) -> None:
    """Before the first slot, or where there are older slots."""
    settings = SETTINGS | {"checkpoint_steps": steps}
    config, out = (
        runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=settings),
        tmp_path / "out",
    )
    process = forkserver.Process(target=hold_after, args=(config, "best"))  # type: ignore[attr-defined]
    process.start()
    wait(lambda: (tmp_path / "held").exists() or process.exitcode is not None)
    process.kill()
    process.join()
    assert {path.parent.name for path in out.glob("*/meta.json")} == {"best"} | (
        {"last_even"} if steps else set()
    )
    runs.train(config, RESUME)
    assert f"resumed from {out / 'best'}: step 6 of 18" in (out / "log.txt").read_text()
    assert outcome(out) == expected


def test_a_run_that_is_killed_again_and_again(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, expected: list[dict[int, float]]
) -> None:
    config, out = (
        runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=SETTINGS),
        tmp_path / "out",
    )
    for _ in range(6):
        seen = max(runs.losses(out), default=0)
        process = runs.in_process(forkserver, config, RESUME)
        further = seen + random.randint(0, 4)
        wait(lambda: max(runs.losses(out), default=0) >= further or process.exitcode == 0)  # noqa: B023
        time.sleep(random.uniform(0, 0.1))
        process.kill()
        process.join()
        done = max(runs.losses(out), default=0)
        left = checkpoint.load_first(checkpoint.find_all(out, "last"))[0]
        assert (0 if left is None else left.meta["step"]) >= done - 2
    runs.train(config, RESUME)
    assert outcome(out) == expected
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
