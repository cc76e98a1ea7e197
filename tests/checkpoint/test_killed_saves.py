"""Runs of several ranks that are killed, or asked to stop, at chosen moments of a save."""

import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import runs
from ucf_vit import checkpoint
from ucf_vit.checkpoint.saver import Saver

pytestmark = pytest.mark.deep

writing = importlib.import_module("ucf_vit.checkpoint.write")
"""The package has a function of that name too."""

LAYOUT = {"mode": "fsdp", "simple_ddp_size": 1, "fsdp_size": 2, "tensor_par_size": 2}
SIMPLE = ["parallelism.mode=simple", "parallelism.fsdp_size=1", "parallelism.tensor_par_size=1"]
SCHEDULE = "model.max_steps=12"
STEP, END = 3, 6
"""The save that is disturbed, which takes the place of step 1; and where the resumed run ends."""


def train_and_hold(environment: dict[str, str], config: Path, moment: str, *overrides: str) -> None:
    """Train; at a moment of the save, one rank makes a file of that name and sleeps."""
    os.environ |= environment
    rank, mark, due = environment["RANK"], config.parent / moment, []
    save, prepare, write = Saver.save, checkpoint.prepare, checkpoint.write
    rename, replace = Path.rename, writing.replace

    def hold(seconds: float = 600) -> None:
        mark.touch()
        time.sleep(seconds)

    def counted(self: Saver, directory: Path, tensors: Any, state: Any, meta: Any, **options: Any) -> None:
        self.wait()  # for the save before, which the thread may not have begun with
        due[:] = [directory.name] * (meta["step"] == STEP and directory.name.startswith("last"))
        save(self, directory, tensors, state, meta, **options)

    def before_files(directory: Path) -> Path:
        aside = prepare(directory)
        if due:
            hold()
        return aside

    def after_pieces(aside: Path, *arguments: Any) -> dict[str, str]:
        while due and rank == "1":
            if len(list(aside.glob("optimizer-*"))) == 3:
                hold()
            time.sleep(0.01)
        return write(aside, *arguments)

    def slowly(*arguments: Any) -> dict[str, str]:
        if due:
            hold(1)
        return write(*arguments)

    def before_rename(*arguments: Any) -> None:
        if due:
            hold()
        replace(*arguments)

    def between_renames(path: Path, target: Path) -> Path:
        if due and path.name.endswith(".tmp"):
            hold()
        return rename(path, target)

    def after_rename(*arguments: Any) -> None:
        replace(*arguments)
        if due:
            hold()

    places: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "before any file": (checkpoint, "prepare", before_files),
        "after some pieces": (checkpoint, "write", after_pieces),
        "before the rename": (writing, "replace", before_rename),
        "between the renames": (Path, "rename", between_renames),
        "after the rename": (writing, "replace", after_rename),
        "slowly": (checkpoint, "write", slowly),
    }
    Saver.save = counted  # type: ignore[assignment, method-assign]
    setattr(*places[moment])
    runs.train(config, *overrides)


@contextmanager
def held(
    forkserver: BaseContext, config: Path, ranks: int, moment: str, *overrides: str
) -> Iterator[list[BaseProcess]]:
    """The processes of a run, at that moment."""
    port = runs.free_port()
    processes = [
        runs.start_rank(forkserver, rank, ranks, port, config, moment, *overrides, target=train_and_hold)  # type: ignore[arg-type]
        for rank in range(ranks)
    ]
    try:
        while not (config.parent / moment).exists():
            assert all(process.exitcode is None for process in processes)
            time.sleep(0.01)
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> dict[int, float]:
    """The losses of one process that nothing disturbs."""
    directory = tmp_path_factory.mktemp("whole")
    config = runs.write_config(directory / "c.yaml", "masked", concrete, model={"lr": 1e-4})
    runs.train(config, SCHEDULE, f"trainer.max_steps={END}")
    return runs.losses(directory / "out")


def write_config(directory: Path, data: Path, parallelism: dict[str, object], **trainer: object) -> Path:
    return runs.write_config(
        directory / "c.yaml",
        "masked",
        data,
        trainer={"checkpoint_steps": 1, **trainer},
        model={"lr": 1e-4},
        parallelism=parallelism,
        data={"batch_size": 2},
    )


@pytest.mark.parametrize(
    ("moment", "beside"),
    [
        ("before any file", False),
        ("after some pieces", False),
        ("before the rename", False),
        ("between the renames", True),
        ("after the rename", False),
    ],
)
def test_a_kill_of_all_ranks_leaves_the_older_or_the_newer_checkpoint(
    tmp_path: Path,
    concrete: Path,
    forkserver: BaseContext,
    expected: dict[int, float],
    moment: str,
    beside: bool,
) -> None:
    config, out = write_config(tmp_path, concrete, LAYOUT, checkpoint_async=beside), tmp_path / "out"
    with held(forkserver, config, 4, moment, SCHEDULE):
        pass
    newest, problems = checkpoint.load_newest(out, "last")
    assert newest is not None
    assert newest.meta["step"] == (STEP if moment == "after the rename" else STEP - 1)
    assert problems == []
    steps = {checkpoint.load(slot).meta["step"] for slot in checkpoint.find(out, "last")}
    assert steps == {newest.meta["step"], newest.meta["step"] - 1}
    resumed = ["trainer.resume_from_checkpoint=true", f"trainer.max_steps={END}", "data.batch_size=4"]
    runs.train(config, SCHEDULE, *SIMPLE, *resumed)
    assert runs.losses(out) == pytest.approx(expected, rel=1e-5)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".last")]


def test_a_signal_during_a_save_beside_the_training_finishes_it(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    config = write_config(
        tmp_path, concrete, LAYOUT | {"tensor_par_size": 1}, checkpoint_async=True, max_epochs=10_000
    )
    with held(forkserver, config, 2, "slowly") as processes:
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGTERM)
        for process in processes:
            process.join(300)
        assert [process.exitcode for process in processes] == [0, 0]
    out = tmp_path / "out"
    steps = [checkpoint.load(slot).meta["step"] for slot in checkpoint.slots(out, "last")]
    assert max(steps) == max(runs.losses(out)) > min(steps) >= STEP
    assert f"asked to stop by SIGTERM: saved at step {max(steps)}" in (out / "log.txt").read_text()
    assert {path.name for path in out.iterdir() if path.is_dir()} <= {"last_even", "last_odd", "best"}
