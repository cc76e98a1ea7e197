"""`ucf-vit plan`, as typed, on real files; and its benchmark in the short form."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import runs
from ucf_vit.cli.main import app
from ucf_vit.config import load
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import ConfigError, DataError, UserError
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.sources import SOURCES
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.planning.plan import Plan
from ucf_vit.training.inputs.datasets import build_datasets
from ucf_vit.training.inputs.plan_files import check_plan, plan_run

ROOT = Path(__file__).parents[2]


def write(path: Path, *shape: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three data sets: 6 volumes of 32³, 3 of 16 x 48 x 33, and 1 of 20³."""
    for number in range(6):
        write(tmp_path / f"a/imagesTr/v{number}.nii", 32, 32, 32)
    for number in range(3):
        write(tmp_path / f"b/imagesTr/v{number}.nii.gz", 16, 48, 33)
    write(tmp_path / "c/imagesTr/v.nii", 20, 20, 20)
    path = runs.write_config(tmp_path / "c.yaml", "masked", tmp_path)
    text = yaml.safe_load(path.read_text())
    names = ("a", "b", "c")
    text["data"] |= {
        "dict_root_dirs": {name: str(tmp_path / name) for name in names},
        "dict_end_idx": dict.fromkeys(names, 1.0),
        "batch_size": 2,
    }
    path.write_text(yaml.safe_dump(text))
    return path


def plan(config: Path, gpus: int, *arguments: str) -> list[str]:
    result = CliRunner().invoke(app, ["plan", str(config), "--gpus", str(gpus), *arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if not re.match(r"\w+: \d+ items", line)]


def test_command_prints_table_and_keys_and_writes_picture_and_plan(config: Path) -> None:
    # 6 x 8 tiles, 3 x 1 x 3 x 3, 2 x 2 x 2
    lines = plan(config, 6, "--report")
    assert lines[0] == "6 data ranks, 8 batches of 2 per rank and epoch; largest load / mean 1.1566"
    assert lines[2].split() == ["a", "6", "48", "3", "16", "8", "1.0000", "1.00"]
    assert lines[3].split() == ["b", "3", "27", "2", "13", "or", "14", "7", "1.0370", "1.14"]
    assert lines[4].split() == ["c", "1", "8", "1", "8", "4", "1.0000", "2.00"]
    assert lines[-1].endswith("plan.npz: written, 10 headers read")
    out = config.parent / "out/plan"
    assert (out / "loads.png").read_bytes()[:4] == b"\x89PNG"
    pieces = [piece for rank in range(6) for piece in Plan.load(out / "plan.npz").tiles_of_rank(rank)]
    assert sum(piece.tiles for piece in pieces) == 48 + 27 + 8
    assert plan(config, 6)[-1].endswith("0 headers read")


def test_the_printed_keys_can_be_pasted_and_leave_out_no_tile(config: Path) -> None:
    lines = plan(config, 6)
    section = yaml.safe_load("\n".join(lines[lines.index("load_balancing:") : -1]))
    assert section["load_balancing"] == {
        "batches_per_rank_epoch": {"a": 8, "b": 7, "c": 4},
        "dataset_group_list": "3:2:1",
    }
    text = yaml.safe_load(config.read_text())
    text["load_balancing"] = section["load_balancing"] | {"auto_load_balancing": False}
    config.write_text(yaml.safe_dump(text))
    run = load(config, [])
    check_ranks(run, 6)
    followed = plan_run(run, 6, config.parent / "kept").plan
    assert run.data.order == "rank"
    assert (followed.dataset_group_list, followed.steps) == ("3:2:1", 8)
    datasets = build_datasets(run, Scratch())
    streams = [Stream(datasets, batch_size=2, seed=0, rank=rank, plan=followed) for rank in range(6)]
    batches = [batch for stream in streams for batch in stream]
    keys = [key for batch in batches for key in batch.keys.tolist()]
    assert len(keys) == 6 * 8 * 2 and len(set(keys)) == len(keys)
    read = {file for batch in batches for file in batch.files}
    assert read == {item.image for one in datasets for item in one.items}


def test_a_plan_that_does_not_fit_is_refused(config: Path) -> None:
    kept = config.parent / "kept"
    plan(config, 6, "--out", str(kept))
    assert check_plan(load(config, []), 6, kept).plan.ranks == 6
    with pytest.raises(UserError, match="the number of data ranks is 4, the plan is for 6"):
        check_plan(load(config, []), 4, kept)
    with pytest.raises(UserError, match=r"a tile of a costs 0\.1, 8 in the plan"):
        check_plan(load(config, ["load_balancing.tile_seconds={a: 0.1, b: 0.1, c: 0.9}"]), 6, kept)
    given = [
        "batches_per_rank_epoch={a: 9, b: 9, c: 9}",
        "dataset_group_list=2:2:2",
        "auto_load_balancing=false",
    ]
    with pytest.raises(UserError, match="8 batches on ranks 3:2:1; now it would be 9 on 2:2:2"):
        check_plan(load(config, [f"load_balancing.{key}" for key in given]), 6, kept)
    write(config.parent / "a/imagesTr/v6.nii", 32, 32, 32)
    with pytest.raises(UserError, match="a has 7 files with 56 tiles, the plan is for 6 with 48"):
        check_plan(load(config, []), 6, kept)


def test_costs_of_an_earlier_run(config: Path) -> None:
    runs.train(config, "trainer.max_steps=8", "trainer.checkpoint_path=" + str(config.parent / "short"))
    lines = plan(config, 6, "--profile", str(config.parent / "short"))
    seconds = json.loads(lines[0].partition("=")[2])
    assert lines[0].startswith("load_balancing.tile_seconds=") and set(seconds) == {"a", "b", "c"}
    assert all(0 < value < 10 for value in seconds.values())
    kept = Plan.load(config.parent / "out/plan/plan.npz")
    assert {part.name: part.tile_cost for part in kept.parts} == seconds
    with pytest.raises(UserError, match=r"metrics.jsonl: no step on a there"):
        plan(config, 6, "--profile", str(config.parent / "nowhere"))


def test_measured_seconds_and_fewer_ranks_than_data_sets(config: Path) -> None:
    dear = plan(config, 6, "load_balancing.tile_seconds={a: 0.1, b: 0.1, c: 0.9}")
    assert "dataset_group_list: '2:1:3'" in dear[-2]
    with pytest.raises(UserError, match="start 3 or more, or let every rank"):
        plan(config, 2)
    mixed = plan(config, 2, "--overwrite", "load_balancing.few_ranks=interleave")
    assert mixed[0].endswith("largest load / mean 1.0120")
    assert mixed[2].split()[:4] == ["a", "6", "48", "all"]
    assert "no dataset_group_list" in mixed[-2]
    with pytest.raises(ConfigError, match=r"tile_seconds = \{'a': 1.0\}: no entry for 'b', 'c'"):
        plan(config, 6, "load_balancing.tile_seconds={a: 1}")


def test_only_ranks_with_data_of_their_own_are_planned(config: Path) -> None:
    fsdp = ("parallelism.mode=fsdp", "parallelism.tensor_par_size=2", "parallelism.fsdp_size=3")
    assert plan(config, 12, *fsdp)[0].startswith("6 data ranks")


def test_a_plan_that_no_longer_fits_is_refused_with_the_difference(config: Path) -> None:
    with pytest.raises(UserError, match="no such file; make it with: ucf-vit plan"):
        plan(config, 6, "--check")
    plan(config, 6)
    assert plan(config, 6, "--check")[-1].endswith("plan.npz: fits")
    with pytest.raises(UserError, match="the number of data ranks is 4, the plan is for 6"):
        plan(config, 4, "--check")
    with pytest.raises(UserError, match=r"data\.tile_overlap is 0\.5, the plan is for 0\.0"):
        plan(config, 6, "--check", "data.tile_overlap=0.5")
    write(config.parent / "a/imagesTr/v9.nii", 32, 32, 32)
    (config.parent / "b/imagesTr/v1.nii.gz").unlink()
    with pytest.raises(UserError) as error:
        plan(config, 6, "--check")
    assert "a has 7 files with 56 tiles, the plan is for 6 with 48" in str(error.value)
    assert "a: 1 new (v9)" in str(error.value) and "b: 1 gone (v1)" in str(error.value)
    with pytest.raises(UserError, match=r"plan\.npz is another plan; replace it with --overwrite"):
        plan(config, 6)
    assert plan(config, 6, "--overwrite")[-1].endswith("written, 1 headers read")


def test_an_unreadable_file_is_named_or_left_out(config: Path) -> None:
    (config.parent / "a/imagesTr/v3.nii").write_bytes(b"no volume")
    with pytest.raises(DataError, match=r"v3\.nii: no readable NIfTI header"):
        plan(config, 6)
    lines = plan(config, 6, "data.on_error=skip")
    assert "1 unreadable files are skipped" in lines
    assert lines[2].split()[1:3] == ["5", "40"]


WRAPPERS = ["utils/load_balance.py", *[f"utils/{name}/preprocess_load_balancing.py" for name in SOURCES]]


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_kind_of_data_set_has_a_wrapper_that_prints_the_keys(
    config: Path, name: str, monkeypatch, capsys
) -> None:
    script = str(ROOT / name)
    assert f"python {name} CONFIG NUM_GPUS" in Path(script).read_text()
    monkeypatch.setattr(sys, "argv", [script, str(config), "6"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(script, run_name="__main__")
    assert not end.value.code
    assert yaml.safe_load(capsys.readouterr().out) == {
        "batches_per_rank_epoch": {"a": 8, "b": 7, "c": 4},
        "dataset_group_list": "3:2:1",
    }


def test_benchmark() -> None:
    command = [sys.executable, ROOT / "benchmarks/planning.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "peak memory, GiB" in done.stdout
