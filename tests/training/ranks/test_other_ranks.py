"""A run that was killed within an epoch goes on with other ranks, batches and steps: each tile once."""

import os
import shutil
import signal
from collections import Counter
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import runs
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.data.batch import Batch
from ucf_vit.data.order.shuffling import sample_keys
from ucf_vit.synthetic import write_dataset
from ucf_vit.training.build import build_task
from ucf_vit.training.hooks.jsonl import read_metrics
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task

pytestmark = pytest.mark.deep

TILES, EPOCHS = 24, 3


def train_and_record(environment: dict[str, str], config: Path, *overrides: str) -> None:
    """Train; write a line with the keys that count of each batch; die in that of number `overrides[0]`."""
    os.environ |= environment
    kill_at, overrides = int(overrides[0]), overrides[1:]
    run = load(config, overrides)
    task = build_task(run)
    lines = config.parent / f"keys_{environment['RANK']}.txt"
    count, draw = 0, task.draw

    def recorded(batch: Batch) -> Batch:
        nonlocal count
        if task.training:
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            with lines.open("a") as file:
                print(*batch.keys.tolist() if batch.counts else (), file=file)
        return draw(batch)

    task.draw = recorded  # type: ignore[method-assign]
    with start(run) as world:
        train_task(task, run, world)


def keys_of(directory: Path, batches: int) -> list[int]:
    """Returns the items in the first batches of the ranks of one stretch."""
    seen: list[int] = []
    for path in directory.glob("keys_*.txt"):
        for line in path.read_text().splitlines()[:batches]:
            seen += map(int, line.split())
        path.unlink()
    return seen


@pytest.mark.parametrize(
    ("stretches", "total"),
    [  # ranks, batch_size, accumulate_steps, batch that kills all (0: none)
        pytest.param([(2, 2, 1, 9), (1, 2, 1, 0)], 8 + 8 + 12, id="2_to_1"),
        pytest.param([(1, 4, 1, 9), (2, 3, 1, 0)], 8 + 3 + 4, id="1_to_2"),
    ],
)
def test_a_killed_run_goes_on_otherwise(
    tmp_path: Path,
    concrete: Path,
    forkserver: BaseContext,
    stretches: list[tuple[int, int, int, int]],
    total: int,
) -> None:
    settings = {"max_epochs": EPOCHS, "checkpoint_steps": 1}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, trainer=settings)
    out, seen, step = tmp_path / "out", [], 0
    for turn, (ranks, batch_size, accumulated, kill_at) in enumerate(stretches):
        overrides = [f"data.batch_size={batch_size}", f"trainer.accumulate_steps={accumulated}"]
        overrides += ["trainer.resume_from_checkpoint=true"] if turn else []
        codes = runs.on_ranks(forkserver, ranks, config, str(kill_at), *overrides, target=train_and_record)
        assert all(code != 0 for code in codes) if kill_at else codes == [0] * ranks
        newest, _ = checkpoint.load_newest(out, "last")
        assert newest is not None
        done, step = newest.state["step"] - step, newest.state["step"]
        seen += keys_of(tmp_path, done * accumulated if kill_at else 10**6)
    expected = [sample_keys(load(config).trainer.seed, "tiny", e, np.arange(TILES)) for e in range(EPOCHS)]
    assert Counter(seen) == Counter(np.concatenate(expected).tolist())

    events = read_metrics(out / "metrics.jsonl")
    assert sorted({event["step"] for event in events if event["event"] == "step"}) == list(
        range(1, total + 1)
    )
    assert max(event["epoch"] for event in events if event["event"] == "validation") == EPOCHS
    text = (out / "log.txt").read_text()
    assert text.count("steps differ from here on: ") == len(stretches) - 1
    assert f"step={total}/{total} epoch={EPOCHS}/{EPOCHS} " in text


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten volumes of one tile each."""
    root = tmp_path_factory.mktemp("ten")
    for _ in write_dataset(root, number=10, size=(16, 16, 16), seed=0):
        pass
    return root


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (1, ["data.num_workers=1"]),
        (2, ["parallelism.mode=fsdp", "parallelism.fsdp_size=3", "parallelism.tensor_par_size=2"]),
    ],
    ids=["simple", "fsdp"],
)
def test_ten_files_are_read_by_six_ranks_in_every_epoch(
    tmp_path: Path, ten: Path, forkserver: BaseContext, size: int, options: list[str]
) -> None:
    """In mode simple, the second batch of an epoch has four tiles for six ranks; losses are those of one."""
    settings = {"max_epochs": 2, "checkpoint_steps": 1}
    data = {"dict_end_idx": {"tiny": 1.0}}
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", ten, trainer=settings, data=data, model={"lr": 1e-4}
    )
    runs.train(config, "data.batch_size=6", f"trainer.checkpoint_path={tmp_path / 'one'}")
    options = [f"data.batch_size={size}", *options]
    assert runs.on_ranks(forkserver, 6, config, "0", *options, target=train_and_record) == [0] * 6
    tensor_ranks = size  # which see the same tiles
    expected = [key for epoch in range(2) for key in keys_in(config, "tiny", epoch, 10)]
    assert Counter(keys_of(tmp_path, 10**6)) == Counter(expected * tensor_ranks)
    for key, close in (("loss", 1e-5), ("grad_norm", 1e-3)):
        one = runs.losses(tmp_path / "one", key=key)
        assert list(one) == [1, 2, 3, 4]
        assert runs.losses(tmp_path / "out", key=key) == pytest.approx(one, rel=close)


def test_what_is_left_of_an_epoch_is_read_by_other_ranks_however_few_tiles(
    tmp_path: Path, ten: Path, forkserver: BaseContext
) -> None:
    """Six ranks read six of ten tiles; of the four that are left three ranks read two, one and one."""
    settings = {"max_epochs": 1, "checkpoint_steps": 1}
    data = {"dict_end_idx": {"tiny": 1.0}, "batch_size": 1}
    config = runs.write_config(tmp_path / "c.yaml", "masked", ten, trainer=settings, data=data)
    codes = runs.on_ranks(forkserver, 6, config, "2", target=train_and_record)
    assert all(code != 0 for code in codes)
    seen = keys_of(tmp_path, 1)
    assert len(set(seen)) == len(seen) == 6
    resumed = ["0", "trainer.resume_from_checkpoint=true", "data.batch_size=2"]
    assert runs.on_ranks(forkserver, 3, config, *resumed, target=train_and_record) == [0] * 3
    seen += keys_of(tmp_path, 10**6)
    assert sorted(seen) == sorted(keys_in(config, "tiny", 0, 10))


def test_ranks_with_data_of_their_own_go_on_otherwise(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    """Killed within an epoch, then other ranks by another plan: what was read is not read again."""
    sets = {"one": 24, "two": 16}
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": 2, "checkpoint_steps": 1}
    )
    text = yaml.safe_load(config.read_text())
    text["data"] |= {
        "dict_root_dirs": {"one": str(concrete), "two": str(shutil.copytree(concrete, tmp_path / "two"))},
        "dict_end_idx": {"one": 0.75, "two": 0.5},
        "leak_check": "off",  # one is a copy of the other
        "order": "rank",
        "batch_size": 2,
    }
    config.write_text(yaml.safe_dump(text))
    keys = [{k for n, size in sets.items() for k in keys_in(config, n, e, size)} for e in range(2)]
    codes = runs.on_ranks(forkserver, 3, config, "4", target=train_and_record)
    assert all(code != 0 for code in codes)
    newest, _ = checkpoint.load_newest(tmp_path / "out", "last")
    assert newest is not None
    first = keys_of(tmp_path, newest.state["step"])
    assert len(set(first)) == len(first) == 3 * 3 * 2 and set(first) <= keys[0]

    resumed = ["0", "trainer.resume_from_checkpoint=true"]
    assert runs.on_ranks(forkserver, 2, config, *resumed, target=train_and_record) == [0, 0]
    seen = Counter(keys_of(tmp_path, 10**6))
    assert not any(seen[key] for key in first)
    assert all(seen[key] == 1 for key in keys[0].difference(first) | keys[1])
    assert max(seen.values()) == 1


def keys_in(config: Path, name: str, epoch: int, tiles: int) -> list[int]:
    """The keys of a first pass over a data set."""
    return list(sample_keys(load(config).trainer.seed, name, epoch, np.arange(tiles)).tolist())


def remotely(aws: dict[str, str], environment: dict[str, str], config: Path, *overrides: str) -> None:
    """`train_and_record` in a process that was not started from this one, with what S3 needs."""
    os.environ |= aws
    train_and_record(environment, config, *overrides)


@pytest.mark.parametrize("order", ["global", "rank"])
def test_a_run_that_reads_from_s3_is_killed_and_goes_on_otherwise(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, s3: Any, bucket: str, order: str
) -> None:
    """Two ranks without loader processes, then one with two of them; each tile comes once in every epoch."""
    for path in sorted(concrete.rglob("*.nii*")):
        s3.upload_file(str(path), bucket, f"ct/{path.relative_to(concrete)}")
    config = runs.write_config(
        tmp_path / "c.yaml", "masked", concrete, trainer={"max_epochs": EPOCHS, "checkpoint_steps": 1}
    )
    keys = [key for epoch in range(EPOCHS) for key in keys_in(config, "tiny", epoch, TILES)]
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    target = partial(remotely, aws)
    data = [f"data.dict_root_dirs={{tiny: 's3://{bucket}/ct'}}", f"data.order={order}", "data.batch_size=2"]
    before = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]

    codes = runs.on_ranks(forkserver, 2, config, "9", *data, target=target)
    assert all(code != 0 for code in codes)
    newest, _ = checkpoint.load_newest(tmp_path / "out", "last")
    assert newest is not None and newest.state["step"] == 8
    seen = keys_of(tmp_path, 8)
    resumed = ["0", *data, "data.num_workers=2", "trainer.resume_from_checkpoint=true"]
    assert runs.on_ranks(forkserver, 1, config, *resumed, target=target) == [0]
    seen += keys_of(tmp_path, 10**6)
    assert Counter(seen) == Counter(keys)
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == before
    assert not any(aws["AWS_SECRET_ACCESS_KEY"] in text_of(path) for path in (tmp_path / "out").rglob("*"))


def text_of(path: Path) -> str:
    """The content of a file, as text."""
    return path.read_bytes().decode(errors="replace") if path.is_file() else ""
