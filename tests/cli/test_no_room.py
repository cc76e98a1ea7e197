"""A disk or a memory without room is one message, and nothing that was written before is lost."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from test_written_files import refused

import runs
from ucf_vit import checkpoint
from ucf_vit.cli.main import app, guarded
from ucf_vit.core.files.atomic_files import write_atomic


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file that is written may become larger, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def call(*arguments: object) -> int | str | None:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        guarded(app)([*map(str, arguments)])
    return ended.value.code


@pytest.fixture
def config(tmp_path: Path, coloured: Path) -> Path:
    return runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_epochs": 1})


def test_the_file_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_atomic(file, "before")
    with files_up_to(100), pytest.raises(OSError, match=r"File too large: .*/report\.html'"):
        write_atomic(file, "x" * 101)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_metrics_without_room_are_one_message(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_up_to(4000):  # config.yaml has 3500, the metrics of an epoch have 4500
        said = refused(capsys, "train", config, "data.batch_size=1", "trainer.validation_epochs=0")
    assert said == f"error: {tmp_path}/out/metrics.jsonl: File too large; make room, or write elsewhere\n"


def test_a_report_without_room_is_one_message_after_the_results(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", config) == 0
    before = (tmp_path / "out/report.html").read_bytes()
    capsys.readouterr()
    with files_up_to(5000):
        assert call("evaluate", config) == 1
    shown = capsys.readouterr()
    assert shown.err == (
        f"error: {tmp_path}/out: cannot be written (File too large); the results above are complete\n"
    )
    assert "Top-1 accuracy" in shown.out
    assert (tmp_path / "out/report.html").read_bytes() == before


def test_a_full_disk_for_the_log_is_one_warning_and_the_run_continues(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("train", config) == 0
    (tmp_path / "out/log.txt").unlink()
    (tmp_path / "out/log.txt").symlink_to("/dev/full")
    capsys.readouterr()
    assert call("train", config, "trainer.resume_from_checkpoint=true", "trainer.max_epochs=2") == 0
    said = capsys.readouterr().err
    assert said == f"warning: {tmp_path}/out/log.txt cannot be written (No space left on device)\n"
    newest, _ = checkpoint.load_newest(tmp_path / "out", "last")
    assert newest is not None
    assert newest.meta["step"] == max(runs.losses(tmp_path / "out"))


def test_shared_memory_without_room_is_one_message(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", config) == 0
    with files_up_to(0):
        said = refused(capsys, "evaluate", config, "data.num_workers=2")
    assert "shared memory is full (/dev/shm: File too large)" in said
    assert "data.num_workers=0" in said


@pytest.mark.parametrize(
    "work",
    [lambda: torch.empty(2**50), lambda: np.ones(2**55), lambda: bytearray(2**55)],
    ids=["torch", "numpy", "python"],
)
def test_memory_without_room_is_one_message(
    work: Callable[[], object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        guarded(work)()
    said = capsys.readouterr().err
    assert said.startswith("error: not enough memory")
    assert "lower data.batch_size" in said
    assert said.count("\n") == 1


def test_errors_of_the_program_keep_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guarded(lambda: Path("/nowhere").read_text())()
    assert "Traceback" in capsys.readouterr().err
