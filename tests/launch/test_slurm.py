"""The batch scripts under a real SLURM: signals, preemption, requeue; what tasks know of themselves."""

import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from local_slurm import LocalSlurm

import runs
from ucf_vit.config import load
from ucf_vit.inference import PredictionRequest, predict_run
from ucf_vit.training.launch import find_place

pytestmark = pytest.mark.deep

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.relative_to(ROOT) for path in ROOT.glob("launch/*/train_*.sh"))
BARE = {
    "UCF_VIT_SITE": "none",
    "UCF_VIT_ENV": sys.prefix,
    "MASTER_ADDR": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
}


def newest_step(directory: Path) -> int:
    return max(runs.losses(directory), default=0) if (directory / "metrics.jsonl").exists() else 0


def test_a_job_near_its_limit_saves_goes_back_into_the_queue_and_finishes(
    slurm: LocalSlurm, on_two: Path, uninterrupted: dict[int, float]
) -> None:
    """The batch script gets the signal of --signal=B:USR1@300, at a time that the test chooses."""
    out, output = on_two.parent / "out", on_two.parent / "job.out"
    options = ["--nodes=2", "--ntasks-per-node=1", f"--output={output}"]
    job = slurm.submit(*options, "launch/basic_ct/train_mae_simple.sh", str(on_two), cwd=ROOT, **BARE)
    slurm.wait(lambda: newest_step(out) > 5, output)
    slurm.run("scancel", "--signal=USR1", "--batch", job)
    slurm.wait(lambda: slurm.shown(job, "JobState") == "COMPLETED", output)

    assert slurm.shown(job, "Restarts") == "1"
    assert runs.losses(out) == pytest.approx(uninterrupted, rel=1e-5)
    log = (out / "log.txt").read_text()
    stopped = int(log.partition("asked to stop by SIGUSR1: saved at step ")[2].split()[0])
    assert 5 < stopped < len(uninterrupted)
    assert f"step {stopped} of {len(uninterrupted)}" in log


WAITS_FOR_SIGTERM = """\
#!/bin/bash
trap 'kill %1; exit 0' TERM
sleep 600 &
echo "${{SLURM_RESTART_COUNT:-0}}" >> "{seen}"
[[ ${{SLURM_RESTART_COUNT:-0}} == 1 ]] && kill $$
wait
exit 1
"""


def test_a_preempted_job_does_not_count_as_completed(slurm: LocalSlurm, tmp_path: Path) -> None:
    """SLURM tells the processes alone; they save and end well. Here they are a stand-in for training."""
    seen = tmp_path / "seen"
    environment = stand_in(tmp_path / "environment", WAITS_FOR_SIGTERM.format(seen=seen))
    variables = BARE | {"UCF_VIT_ENV": str(environment)}
    output = tmp_path / "job.out"
    job = slurm.submit("--nodes=1", f"--output={output}", str(SCRIPTS[0]), "c.yaml", cwd=ROOT, **variables)
    slurm.wait(seen.exists, output)
    everything = ["--partition=urgent", "--nodes=2", "--exclusive"]
    urgent = slurm.submit(*everything, "--output=/dev/null", "--wrap=true", cwd=tmp_path)
    slurm.wait(lambda: slurm.shown(job, "JobState") == "COMPLETED", output)
    assert slurm.shown(urgent, "JobState") == "COMPLETED"
    assert seen.read_text().split() == ["0", "1"]


def test_a_job_does_not_go_back_for_ever(slurm: LocalSlurm, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    environment = stand_in(tmp_path / "environment", f'#!/bin/bash\ntouch "{seen}"\nexec sleep 600')
    variables = BARE | {"UCF_VIT_ENV": str(environment), "UCF_VIT_REQUEUES": "0"}
    output = tmp_path / "job.out"
    job = slurm.submit("--nodes=1", f"--output={output}", str(SCRIPTS[0]), "c.yaml", cwd=ROOT, **variables)
    slurm.wait(seen.exists, output)
    slurm.run("scancel", "--signal=USR1", "--batch", job)
    slurm.wait(lambda: slurm.shown(job, "JobState") == "FAILED", output)
    assert "was requeued 0 times; not again" in output.read_text()


def stand_in(environment: Path, python: str) -> Path:
    """An environment whose python is a shell script."""
    path = environment / "bin/python"
    path.parent.mkdir(parents=True)
    path.write_text(python)
    path.chmod(0o755)
    return environment


def test_tasks_know_their_place(slurm: LocalSlurm, tmp_path: Path) -> None:
    command = ["srun", "--nodes=2", "--ntasks=3", "--cpus-per-task=1", "bash", "-c"]
    slurm.run(*command, "env -0 > environment$SLURM_PROCID", cwd=tmp_path)
    lines = [path.read_text().split("\0")[:-1] for path in tmp_path.glob("environment*")]
    environments = [dict(line.split("=", 1) for line in of_one) for of_one in lines]
    places = sorted(map(find_place, environments), key=lambda place: place.rank)
    assert [place.rank for place in places] == [0, 1, 2]
    assert [place.local_rank for place in places] == [0, 1, 0]
    assert [place.local_size for place in places] == [2, 2, 1]
    assert {(place.size, place.master_addr, place.launcher) for place in places} == {(3, "node1", "SLURM")}
    assert len({place.master_port for place in places}) == 1


def test_tasks_share_the_files_of_a_prediction(slurm: LocalSlurm, tmp_path: Path, concrete: Path) -> None:
    """Three tasks on two nodes write what one process does; a file that one of them can't read is named."""
    runs.train(runs.write_config(tmp_path / "c.yaml", "segmentation", concrete, trainer={"max_steps": 2}))
    scans, one, shared = (tmp_path / name for name in ("in", "one", "shared"))
    shutil.copytree(concrete / "imagesTr", scans)
    srun = ["srun", "--nodes=2", "--ntasks=3", "--cpus-per-task=1", sys.executable, "-m", "ucf_vit"]
    command = [*srun, "predict", str(tmp_path / "out"), str(scans), "-o", str(shared)]
    variables = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    said = slurm.run(*command, cwd=tmp_path, **variables)
    assert said.count("3 processes share them") == said.count("4 items, 4 of them new") == 1
    predict_run(tmp_path / "out", PredictionRequest((str(scans),), one))
    names = {path.name for path in one.glob("*.nii.gz")}
    assert {path.name for path in shared.glob("*.nii.gz")} == names and len(names) == 4
    for name in names:
        found, expected = (np.asarray(nibabel.load(folder / name).dataobj) for folder in (shared, one))
        assert np.array_equal(found, expected)
    (scans / "zzz.nii.gz").write_bytes(b"none")
    with pytest.raises(AssertionError, match=r"1 input\(s\) could not be predicted: .*zzz\.nii\.gz"):
        slurm.run(*command, cwd=tmp_path, **variables)


def test_every_script_starts_its_training_with_a_config_that_is_right(
    slurm: LocalSlurm, tmp_path: Path
) -> None:
    """Python is one that says what it is asked to run, from an archive that is copied to the nodes' disks."""
    packed = stand_in(tmp_path / "packed", '#!/bin/bash\necho "$0" "$@"\n')
    archive = tmp_path / "packed.tar.gz"
    slurm.run("tar", "-czf", str(archive), "-C", str(packed), "bin")
    variables = BARE | {"UCF_VIT_ENV": str(archive), "UCF_VIT_LOCAL": str(tmp_path / "local")}
    jobs = {}
    for number, script in enumerate(SCRIPTS):
        site = {"UCF_VIT_SITE": ("none", "generic")[number % 3 == 0]}
        config = ROOT / (ROOT / script).read_text().splitlines()[2].split()[4]
        options = ["--nodes=1", f"--output={tmp_path}/{script.stem}_%j.out"]
        jobs[script] = slurm.submit(
            *options, str(script), str(config), "model.depth=6", cwd=ROOT, **variables | site
        )
    for script, job in jobs.items():
        output = tmp_path / f"{script.stem}_{job}.out"
        slurm.wait(lambda job=job: slurm.shown(job, "JobState") == "COMPLETED", output)
        line = output.read_text().splitlines()[-1].replace("-m ucf_vit train", "src/ucf_vit/__main__.py")
        where, flag, training, config, *overrides = line.split()
        assert where == str(tmp_path / f"local/{job}_packed.tar.gz.unpacked/bin/python")
        assert flag == "-u"
        assert (ROOT / training).is_file()
        assert overrides[0] == "trainer.resume_from_checkpoint=true"
        assert overrides[-1] == "model.depth=6"
        assert ("parallelism.mode=fsdp" in overrides) == script.stem.endswith("_fsdp")
        check(Path(config), overrides)


def test_on_frontier_a_process_has_seven_cores_and_the_fast_network(
    slurm: LocalSlurm, tmp_path: Path
) -> None:
    """The site's own commands, with a `module` that only says what it is asked to load."""
    says = '#!/bin/bash\necho "$SLURM_CPUS_PER_TASK cores, $NCCL_NET, $MASTER_ADDR, $NCCL_CROSS_NIC"'
    variables = {
        "UCF_VIT_SITE": "frontier",
        "UCF_VIT_ENV": str(stand_in(tmp_path / "environment", says)),
        "NCCL_CROSS_NIC": "0",
        "MASTER_ADDR": "10.0.0.1",
        "BASH_FUNC_module%%": "() { echo module $@; }",
    }
    output = tmp_path / "job.out"
    options = ["--nodes=2", "--gpus-per-node=8", "--exclusive", f"--output={output}"]
    job = slurm.submit(*options, str(SCRIPTS[0]), "c.yaml", cwd=ROOT, **variables)
    slurm.wait(lambda: slurm.shown(job, "JobState") == "COMPLETED", output)
    lines = output.read_text().splitlines()
    assert "module load rccl-net-plugin" in lines
    assert lines.count("7 cores, OFI, 10.0.0.1, 0") == 16


def check(config: Path, overrides: list[str]) -> None:
    """The config is right."""
    assert load(config, overrides).model.depth == 6
