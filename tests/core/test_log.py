"""One log for a run: what goes to the file, what to the terminal, and from which process."""

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ucf_vit.core.log import FILE_ONLY, get_logger, read_warnings, set_up


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    root = logging.getLogger("ucf_vit")
    for handler in [handler for handler in root.handlers if getattr(handler, "of_run", False)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.NOTSET)


def test_the_file_has_all_lines_and_the_terminal_important_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out" / "log.txt"
    set_up(file)
    log = get_logger("ucf_vit.data.loader.stream")
    log.debug("detail")
    log.info("for both")
    log.info("for the file", extra=FILE_ONLY)
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert shown.endswith(" INFO for both\n")
    written = file.read_text()
    assert [line.split(": ")[1] for line in written.splitlines()] == ["detail", "for both", "for the file"]
    assert "ucf_vit.data.loader.stream: for both" in written


def test_other_ranks_write_only_warnings_with_their_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.txt"
    set_up(file, rank=3, ranks=4)
    log = get_logger("ucf_vit.training")
    log.info("quiet")
    assert not file.exists()
    log.warning("broken file")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    assert "WARNING [rank 3] ucf_vit.training: broken file" in file.read_text()


def test_a_second_set_up_replaces_the_first_and_appends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.txt"
    for _ in range(2):
        set_up(file)
        get_logger("ucf_vit.a").info("once each")
    assert capsys.readouterr().out.count("once each") == 2
    assert file.read_text().count("once each") == 2


def test_a_script_logs_where_the_library_does(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    get_logger("__main__").info("from the script")
    get_logger("ucf_vitality").info("from another package")
    assert capsys.readouterr().out.count("from") == 2
    assert get_logger("ucf_vit.core").name == "ucf_vit.core"


def test_terminal_handler_follows_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up()
    later = io.StringIO()
    monkeypatch.setattr(sys, "stdout", later)
    get_logger("ucf_vit.a").info("here")
    assert "here" in later.getvalue()


def test_warnings_are_read_back_in_order_with_counts(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    assert not read_warnings(file)
    set_up(file)
    log = get_logger("ucf_vit.a")
    log.info("WARNING of nothing")
    log.warning("skipped %s: CRC error", "a: b.nii.gz")
    log.error("two\nlines")
    set_up(file, rank=1, ranks=2)
    log.warning("skipped a: b.nii.gz: CRC error")
    assert list(read_warnings(file).items()) == [("skipped a: b.nii.gz: CRC error", 2), ("two", 1)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_on_a_terminal_lines_come_through_rich() -> None:
    code = "from ucf_vit.core.log import *; set_up(); get_logger('x').warning('step=5 [bold]kept[/bold]')"
    ours, theirs = os.openpty()
    subprocess.run(
        [sys.executable, "-c", code], stdout=theirs, check=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[" in shown
    assert "step=5 [bold]kept[/bold]" in re.sub(r"\x1b\[[\d;]*m", "", shown)
