"""`ucf-vit track`: pages on this machine only, and delivery of what is left."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ports import free_port
from tracking.test_delivery import END, Directory
from ucf_vit.core.errors import UserError
from ucf_vit.tracking.commands import deliver_run, open_pages, place_of


@pytest.fixture
def directory(tmp_path: Path, database: Path) -> Directory:
    one = Directory(tmp_path / "run", database)
    one.write(1, 3, dict(END))
    return one


def test_delivery_of_what_is_left(directory: Directory) -> None:
    assert re.search(r"run: 5 entries delivered, run [0-9a-f]{32}", deliver_run(directory.path, 60))
    assert "0 entries" in deliver_run(directory.path, 60)
    assert directory.steps() == [1, 2, 3]


def test_what_stays_undelivered_is_an_error(directory: Directory) -> None:
    (directory.path / "tracking/events.jsonl").unlink()
    directory.write(1, 3, store=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UserError, match="run: 4 of 4 entries are still not delivered"):
        deliver_run(directory.path, 0.5)


def test_runs_that_are_not_tracked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run that was trained with"):
        deliver_run(tmp_path, 1)
    with pytest.raises(UserError, match="no such file"):
        open_pages(tmp_path / "mlflow.db", 5000)


def test_the_store_of_a_run(directory: Directory) -> None:
    assert place_of(directory.path) == directory.database
    directory.write(4, 5, store="https://mlflow.example.org")
    with pytest.raises(UserError, match=r"pages are at https://mlflow.example.org"):
        place_of(directory.path)


@pytest.mark.deep
def test_pages_are_on_loopback_only(directory: Directory) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ucf_vit", "track", str(directory.path), "--port", str(port)]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                        assert b"MLflow" in page.read()
                    break
                except OSError:
                    assert process.poll() is None
                    time.sleep(0.1)
            table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            listening = re.findall(rf" ([0-9A-F]+):{port:04X} [0-9A-F:]+ 0A ", table)
            assert listening == ["0100007F"]
        finally:
            import os

            os.killpg(process.pid, 9)
