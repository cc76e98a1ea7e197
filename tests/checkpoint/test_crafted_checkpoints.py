"""Reading a checkpoint with any contents works or ends with one message, and never executes code."""

import json
import math
import os
import pickle
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import runs
from crafted import header, mutated, one_message, read_json, seal, write_header, write_meta
from ucf_vit import checkpoint
from ucf_vit.checkpoint.inspect import describe, export_weights
from ucf_vit.checkpoint.locate import locate
from ucf_vit.config import Run, load
from ucf_vit.core.errors import CheckpointError
from ucf_vit.sampling.sample import open_diffusion
from ucf_vit.training.build import build_task
from ucf_vit.training.inputs.run_data import build_data
from ucf_vit.training.launch import start
from ucf_vit.training.run import build_state
from ucf_vit.training.saved_runs.pretrained import start_from, start_from_mae
from ucf_vit.training.saved_runs.restore import load_for_inference, resume

pytestmark = pytest.mark.deep

WEIGHTS_FILE, STATE_FILE = "model.safetensors", "state.pt"
SEEDS = range(8)


@dataclass
class Trained:
    """A run, what it left, and the parts of one that could go on."""

    run: Run
    slot: Path
    task: Any
    state: Any
    world: Any


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, concrete: Path) -> Iterator[Trained]:
    directory = tmp_path_factory.mktemp("trained")
    config = runs.write_config(
        directory / "c.yaml", "masked", concrete, trainer={"max_steps": 2, "ema_decay": 0.9}
    )
    runs.train(config)
    run = load(config)
    with start(run) as world:
        task = build_task(run)
        with closing(build_data(run, world, task)) as data:
            yield Trained(
                run, directory / "out/last_even", task, build_state(task, task, run, world, data), world
            )


@pytest.fixture
def slot(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.slot, tmp_path / "run/last_even"))


def try_everything(slot: Path, trained: Trained) -> list[str]:
    """Returns the error messages of all ways to read the checkpoint."""
    to = slot.parents[1] / "w.safetensors"
    trainer = {
        "start_from": str(slot),
        "mae_checkpoint_path": str(slot.parent),
        "checkpoint_path": str(slot.parent),
    }
    run = trained.run.model_copy(update={"trainer": trained.run.trainer.model_copy(update=trainer)})

    def evaluate() -> None:
        read, _ = checkpoint.load_newest(slot.parent, "last")
        assert read is not None
        load_for_inference(trained.task, run, read)

    ways: list[Callable[[], object]] = [
        lambda: describe(slot),
        lambda: export_weights(slot, to, averaged=True, overwrite=True),
        lambda: locate(slot.parent / "last"),
        lambda: locate(slot.parent),
        lambda: start_from(trained.task, run, trained.world),
        lambda: start_from_mae(trained.task, run),
        lambda: open_diffusion(slot),
        lambda: resume(trained.state, run, checkpoint.load(slot)),
        evaluate,
    ]
    return [one_message(way) for way in ways]


def test_full_tensors_are_read(slot: Path, trained: Trained) -> None:
    said = try_everything(slot, trained)
    assert [text for text in said if text] == [
        f"{slot} is of task masked; only models of task diffusion generate samples"
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_description_of_anything(slot: Path, trained: Trained, seed: int) -> None:
    write_meta(slot, mutated(read_json(slot), random.Random(seed)))
    try_everything(slot, trained)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_config_of_anything(slot: Path, trained: Trained, seed: int) -> None:
    import yaml

    meta = read_json(slot)
    config = mutated(yaml.safe_load(meta["config"]), random.Random(seed))
    try:
        text = yaml.safe_dump(config)
    except (yaml.YAMLError, RecursionError, UnicodeError):
        text = str(config)[:10_000]
    write_meta(slot, meta | {"config": text.encode("utf-8", "replace").decode()})
    try_everything(slot, trained)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(f"c{n}: &c{n} [*b, *b]\n" for n in range(9))
CONFIGS = [
    "", "[", "null", "- 1", "model:", "model: {default_vars: [a]}\ndata: {dict_root_dirs: 3}", BOMB,
    "[" * 100_000,
    "data: {dict_root_dirs: {}}\nmodel: {default_vars: !!python/object/apply:os.system ['touch x']}",
    "model: {default_vars: [a]}\ndata: {dict_root_dirs: {}}\ntrainer: 2026-99-99",
]  # fmt: skip


@pytest.mark.parametrize("text", CONFIGS)
def test_an_invalid_config_is_named(slot: Path, trained: Trained, text: str) -> None:
    write_meta(slot, read_json(slot) | {"config": text})
    with pytest.raises(
        CheckpointError, match=r"meta\.json: (config|not of a checkpoint of format 2 \(config)"
    ):
        load_for_inference(trained.task, trained.run, checkpoint.load(slot))
    try_everything(slot, trained)


@pytest.mark.parametrize(
    "name",
    [
        "../x.pt",
        "/etc/shadow",
        "x/state.pt",
        "state.pt\n",
        "model.pt",
        "state-00002-of-00001.pt",
        "state-2-of-3.pt",
    ],
)
def test_files_are_of_the_checkpoint_itself(slot: Path, trained: Trained, name: str) -> None:
    meta = read_json(slot)
    meta["sha256"][name] = meta["sha256"].pop(STATE_FILE)
    write_meta(slot, meta)
    assert "not of a checkpoint of format 2 (sha256" in try_everything(slot, trained)[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_of_anything(slot: Path, trained: Trained, seed: int) -> None:
    state = torch.load(slot / STATE_FILE, weights_only=True)
    torch.save(mutated(state, random.Random(seed)), slot / STATE_FILE)
    seal(slot)
    try_everything(slot, trained)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (key, value)
        for key in ("step", "stale", "best", "stream", "steps_per_epoch", "ema")
        for value in (math.nan, "1", -1, [1], {"updates": -1})
        if (key, value) != ("best", -1)  # a loss may be negative
    ],
)
def test_a_value_of_a_state_is_named(slot: Path, trained: Trained, key: str, value: Any) -> None:
    state = torch.load(slot / STATE_FILE, weights_only=True)
    torch.save(state | {key: value}, slot / STATE_FILE)
    seal(slot)
    with pytest.raises(CheckpointError, match=rf"state\.pt: not of a checkpoint of format 2 \({key}"):
        resume(trained.state, trained.run, checkpoint.load(slot))


@pytest.mark.parametrize("value", [10_000, 2**52])
def test_a_place_past_the_end_of_an_epoch_is_refused(slot: Path, trained: Trained, value: int) -> None:
    state = torch.load(slot / STATE_FILE, weights_only=True)
    state["stream"]["position"] = value
    torch.save(state, slot / STATE_FILE)
    seal(slot)
    with pytest.raises(CheckpointError, match=rf"state\.pt: .*position {value} is past the end of its epoch"):
        resume(trained.state, trained.run, checkpoint.load(slot))


@pytest.mark.parametrize("kind", ["model", "ema"])
def test_weights_of_whole_numbers_are_refused(slot: Path, trained: Trained, kind: str) -> None:
    path = slot / f"{kind}.safetensors"
    weights = load_file(path)
    name = min(weights)
    with safe_open(path, "pt") as content:
        about = content.metadata()
    save_file(weights | {name: weights[name].int()}, path, about)
    seal(slot)
    said = rf"{kind}\.safetensors: {re.escape(name)} is int32 in place of float32"
    with pytest.raises(CheckpointError, match=said):
        resume(trained.state, trained.run, checkpoint.load(slot))
    with pytest.raises(CheckpointError, match=said):
        load_for_inference(trained.task, trained.run, checkpoint.load(slot))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["model", "ema", "optimizer"])
def test_a_header_of_anything(slot: Path, trained: Trained, kind: str, seed: int) -> None:
    path, dice = slot / f"{kind}.safetensors", random.Random(seed)
    head, rest = header(path)
    places_of = json.loads(head["__metadata__"]["DCP_SHARDING_INFO"])
    if dice.random() < 0.6:
        head["__metadata__"]["DCP_SHARDING_INFO"] = json.dumps(mutated(places_of, dice))
    else:
        head = mutated(head, dice)
    write_header(path, head, rest)
    seal(slot)
    try_everything(slot, trained)
    file = trained.run.trainer.model_copy(update={"start_from": str(path)})
    one_message(
        lambda: start_from(trained.task, trained.run.model_copy(update={"trainer": file}), trained.world)
    )


class Payload:
    """Object whose pickle writes a file if it is loaded without restrictions."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("how", ["torch", "pickle", "inside"])
def test_nothing_is_executed(slot: Path, trained: Trained, tmp_path: Path, how: str) -> None:
    payload = Payload(tmp_path / "executed")
    state = torch.load(slot / STATE_FILE, weights_only=True)
    if how == "pickle":
        (slot / STATE_FILE).write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload if how == "torch" else state | {"stream": {"epoch": payload}}, slot / STATE_FILE)
    seal(slot)
    said = try_everything(slot, trained)
    assert sum("state.pt: damaged, or not only tensors and plain values" in text for text in said) >= 6
    assert not payload.mark.exists()


@pytest.mark.parametrize("file", [checkpoint.META, STATE_FILE, WEIGHTS_FILE])
def test_pipes_are_not_opened(slot: Path, trained: Trained, file: str) -> None:
    (slot / file).unlink()
    os.mkfifo(slot / file)
    assert all(text for text in try_everything(slot, trained)[4:])


@pytest.mark.parametrize("seed", SEEDS)
def test_cut_and_flipped_bytes(slot: Path, trained: Trained, seed: int) -> None:
    dice = random.Random(seed)
    path = slot / dice.choice([checkpoint.META, STATE_FILE, WEIGHTS_FILE, "optimizer.safetensors"])
    content = bytearray(path.read_bytes())
    if dice.random() < 0.3:
        content = content[: dice.randrange(len(content))]
    for _ in range(dice.randrange(1, 5)):
        content[dice.randrange(max(1, len(content) // dice.choice((1, 50))))] = dice.randrange(256)
    path.write_bytes(content)
    if path.name != checkpoint.META:
        seal(slot)
    try_everything(slot, trained)
