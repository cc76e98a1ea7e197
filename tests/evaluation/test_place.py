"""Where results go is decided before the work begins, and nothing is lost where they cannot be written."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.core.errors import UserError
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.evaluation.output_place import OutputPlace

pytestmark = pytest.mark.deep

DROP_FROM_BOUNDING_SET, MAY_WRITE_ANYWHERE = 24, 1
"""Of prctl(2) and capabilities(7): without it the superuser is held to the modes of files too."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Iterator[Path]:
    """The directory of a run; what was decompressed for it stays until the tests are through."""
    scratch = Scratch()
    root = tmp_path_factory.mktemp("trained")
    runs.train(runs.write_config(root / "c.yaml", "segmentation", concrete, trainer={"max_steps": 1}))
    yield root / "out"
    del scratch


@pytest.fixture
def read_only(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it that its owner may not write either."""
    copy = shutil.copytree(trained, tmp_path / "archive")
    folders = [path for path in (copy, *copy.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    yield copy
    for folder in folders:
        folder.chmod(0o755)


def obey_modes() -> None:
    """Called in a new process: be held to the modes of files, as other users are."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, MAY_WRITE_ANYWHERE, 0, 0, 0):
        os._exit(77)


def command(*arguments: object, before: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    call = [sys.executable, "-m", "ucf_vit", "evaluate", *map(str, arguments)]
    return subprocess.run(
        call, capture_output=True, text=True, check=False, env=environment, preexec_fn=before
    )


def test_a_directory_that_cannot_be_written_gives_a_table(read_only: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in read_only.rglob("*")}
    done = command(read_only, before=obey_modes)
    if done.returncode == 77:
        pytest.skip("this superuser may write anywhere")
    assert done.returncode == 0, done.stderr
    assert "Dice" in done.stdout and "1 items" in done.stdout
    assert "cannot be written (Permission denied): results go to the terminal only" in done.stderr
    assert "Traceback" not in done.stderr and "report:" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in read_only.rglob("*")} == before
    refused = command(read_only, "--output", read_only / "mine", before=obey_modes)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    assert "Traceback" not in refused.stderr and "Dice" not in refused.stdout, "it is said before the work"


def test_a_directory_can_be_named(trained: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    for _ in range(2):
        arguments = ["evaluate", str(trained), "--output", str(tmp_path / "a/b")]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert f"report: {tmp_path}/a/b/report.html" in result.stdout.replace("\n", "")
    assert (tmp_path / "a/b/evaluations/validation_best.json").is_file()
    report = (tmp_path / "a/b/report.html").read_text()
    assert "on validation items" in report and "Dice" in report
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_somebody_elses_report_is_not_replaced(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match=r"holds a report\.html that is not of an evaluation"):
        OutputPlace.choose(trained, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_file_in_the_way_is_noticed_before_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "evaluations").write_text("a file")
    assert OutputPlace.choose(tmp_path, None) == OutputPlace(None)
    assert "evaluations is not a directory" in caplog.text
    with pytest.raises(UserError, match=r"--output: .* cannot be written"):
        OutputPlace.choose(tmp_path, tmp_path / "evaluations")


def test_no_room_for_the_report_is_one_message_after_the_table(trained: Path, tmp_path: Path) -> None:
    """Files of more than 4 KiB cannot be written, as on a full disk: the results are, the report is not."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = command(trained, "--output", tmp_path / "out", before=little_room)
    assert done.returncode == 1
    assert "Dice" in done.stdout
    assert "cannot be written (File too large); the results above are complete" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/report.html").exists()
