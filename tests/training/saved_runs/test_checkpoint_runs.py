"""Runs that are killed, go on in other layouts, save beside the training, and keep more checkpoints."""

import os
import re
import signal
import time
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import runs
from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import export_weights
from ucf_vit.cli import main
from ucf_vit.core.errors import CheckpointError, UserError
from ucf_vit.training.hooks.jsonl import read_metrics

LAYOUT = {"mode": "fsdp", "simple_ddp_size": 1, "fsdp_size": 2, "tensor_par_size": 2}
SIMPLE = ["parallelism.mode=simple", "parallelism.fsdp_size=1", "parallelism.tensor_par_size=1"]
RESUME = "trainer.resume_from_checkpoint=true"
SCHEDULE = "model.max_steps=12"


def train_and_hold(environment: dict[str, str], config: Path, *overrides: str) -> None:
    """Train as a rank, up to the fifth step."""
    os.environ |= environment
    runs.hold_after(config, 4, *overrides)


@pytest.mark.deep
@pytest.mark.parametrize("beside", [False, True])
def test_a_killed_run_of_four_goes_on_on_two_and_on_one(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, beside: bool
) -> None:
    rate = {"lr": 1e-4}
    whole = runs.write_config(tmp_path / "whole/c.yaml", "masked", concrete, model=rate)
    runs.train(whole, SCHEDULE)
    expected = runs.losses(tmp_path / "whole/out")
    assert len(expected) == 12

    settings = {"checkpoint_steps": 1, "checkpoint_async": beside, "ema_decay": 0.9}
    config = runs.write_config(
        tmp_path / "parts/c.yaml",
        "masked",
        concrete,
        trainer=settings,
        model=rate,
        parallelism=LAYOUT,
        data={"batch_size": 2},
    )
    out = tmp_path / "parts/out"
    port = runs.free_port()
    ranks = [
        runs.start_rank(forkserver, rank, 4, port, config, SCHEDULE, target=train_and_hold)
        for rank in range(4)
    ]
    while not (config.parent / "held").exists():
        assert all(rank.exitcode is None for rank in ranks)
        time.sleep(0.002)
    for rank in ranks:
        rank.kill()
    for rank in ranks:
        rank.join()
    assert ranks[0].exitcode == -signal.SIGKILL
    assert all(rank.exitcode for rank in ranks)
    killed = checkpoint.load_newest(out, "last")[0]
    assert killed is not None
    assert 2 <= killed.meta["step"] <= 4
    assert killed.meta["layout"]["tensor_par_size"] == 2

    two = [RESUME, SCHEDULE, *SIMPLE, "parallelism.simple_ddp_size=2", "trainer.max_steps=10"]
    assert runs.on_ranks(forkserver, 2, config, *two) == [0, 0]
    runs.train(config, RESUME, SCHEDULE, *SIMPLE, "data.batch_size=4")
    assert runs.losses(out) == pytest.approx(expected, rel=1e-5)
    last = checkpoint.load_newest(out, "last")[0]
    assert last is not None
    assert (last.directory / "model.safetensors").is_file()
    saves = [line for line in read_metrics(out / "metrics.jsonl") if line["event"] == "save"]
    assert {line["checkpoint"] for line in saves} >= {"last_even", "last_odd", "best"}
    assert all(line["stall"] > 0 for line in saves)


def test_more_checkpoints_are_kept(tmp_path: Path, concrete: Path) -> None:
    kept = {"checkpoint_keep_last": 4, "checkpoint_keep_best": 3, "checkpoint_async": True, "max_epochs": 5}
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer={**kept, "checkpoint_steps": 4}
    )
    runs.train(config)
    out = tmp_path / "out"
    steps = {path.name: checkpoint.load(path).meta["step"] for path in out.iterdir() if path.is_dir()}
    last = {name: step for name, step in steps.items() if name.startswith("last")}
    assert last.keys() == {"last_even", "last_odd", "last_step_24", "last_step_20"}
    assert sorted(last.values()) == [20, 24, 28, 30]
    losses = runs.losses(out, "validation", "validation/loss")
    best = steps_by(losses)[:3]
    assert {step for name, step in steps.items() if name.startswith("best")} == set(best)
    assert steps["best"] == best[0]
    saves = [line for line in read_metrics(out / "metrics.jsonl") if line["event"] == "save"]
    saved = [line["step"] for line in saves if line["checkpoint"].startswith("last")]
    assert saved == [4, 6, 8, 12, 16, 18, 20, 24, 28, 30]
    fewer = ("trainer.checkpoint_keep_last=2", "trainer.checkpoint_keep_best=1", "trainer.max_epochs=6")
    runs.train(config, RESUME, *fewer)
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"best", "last_even", "last_odd"}
    runs.train(config, "trainer.overwrite=true", "trainer.max_steps=1")
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"best", "last_even"}


def steps_by(losses: dict[int, float]) -> list[int]:
    return sorted(losses, key=lambda step: losses[step])


def test_an_error_beside_the_training_ends_the_run(
    tmp_path: Path, concrete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fails)
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer={"checkpoint_async": True})
    with pytest.raises(CheckpointError, match=r"No space left on device.*the other slot is intact"):
        runs.train(config)


@pytest.mark.deep
def test_weights_go_out_to_one_file_and_in_again(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"max_steps": 2, "ema_decay": 0.9}
    config = runs.write_config(
        tmp_path / "a/c.yaml", "masked", concrete, trainer=short, parallelism=LAYOUT, data={"batch_size": 2}
    )
    assert runs.on_ranks(forkserver, 4, config) == [0] * 4
    source, file = tmp_path / "a/out/last_even", tmp_path / "exported/weights.safetensors"
    main.app(["checkpoint", "show", str(source)], standalone_mode=False)
    said = capsys.readouterr().out
    assert "step 2" in said
    assert "mode fsdp, ranks 4, simple_ddp_size 1, fsdp_size 2" in said
    assert "4 files" in said
    assert re.search(r"model.encoder.blocks.0.attn.q.weight +24 x 24  float32 +2.3 kB", said)
    main.app(["checkpoint", "export", str(source), str(file), "--averaged"], standalone_mode=False)
    assert "parameters" in capsys.readouterr().out
    exported, read = load_file(file), checkpoint.load(source)
    assert exported.keys() == read.weights.keys()
    assert all(exported[name].equal(value) for name, value in read.for_inference.items())
    with pytest.raises(UserError, match="exists already"):
        export_weights(source, file)

    still = {"lr": 1e-30, "warmup_steps": 0, "weight_decay": 0.0}
    for name, start in (("b", file), ("c", source)):
        begun = runs.write_config(
            tmp_path / name / "c.yaml",
            "masked",
            concrete,
            trainer={"max_steps": 1, "start_from": str(start)},
            model=still,
        )
        runs.train(begun)
        first = checkpoint.load(tmp_path / name / "out/last_even").weights
        assert all(first[key].allclose(value, rtol=0, atol=1e-12) for key, value in exported.items())
    kept = tmp_path / "c/out/last_even"
    with pytest.raises(UserError, match=r"c/out/last_even belongs to the run .* would remove"):
        runs.train(begun, "trainer.overwrite=true", f"trainer.start_from={kept.parent}/last")
    with pytest.raises(CheckpointError, match=r"start_from: .*/nothing\.safetensors does not exist"):
        runs.train(begun, "trainer.overwrite=true", f"trainer.start_from={tmp_path}/nothing.safetensors")
    assert checkpoint.load(kept).weights.keys() == exported.keys()
    with pytest.raises(
        CheckpointError, match=r"another network than described: .* have another shape: .* in place of"
    ):
        runs.train(begun, "trainer.overwrite=true", "model.embed_dim=48", f"trainer.start_from={file}")
