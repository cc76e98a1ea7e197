"""Mode fsdp from end to end: runs on four processes, each of which holds a part of one network."""

import os
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pytest
import torch

import runs
from ucf_vit import checkpoint
from ucf_vit.config import load
from ucf_vit.core.errors import ConfigError
from ucf_vit.data.batch import Batch
from ucf_vit.training.build import build_task
from ucf_vit.training.launch import start
from ucf_vit.training.run import train_task

LAYOUT = {"mode": "fsdp", "simple_ddp_size": 1, "fsdp_size": 2, "tensor_par_size": 2}
RATE = {"lr": 1e-4}
EVENTS = (("step", "loss", 1e-5), ("step", "grad_norm", 1e-3), ("validation", "validation/loss", 1e-5))
"""Compared metrics and tolerances: kinks of activations make a norm less exact than a loss."""


@pytest.mark.parametrize("task", ["masked", pytest.param("segmentation", marks=pytest.mark.deep)])
def test_a_run_equals_that_of_one_process(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, task: str
) -> None:
    """There is one held-out volume for two data ranks, so one of them has none."""
    one = runs.write_config(tmp_path / "one/c.yaml", task, concrete, data={"batch_size": 4}, model=RATE)
    four = runs.write_config(
        tmp_path / "four/c.yaml",
        task,
        concrete,
        data={"batch_size": 2},
        model=RATE,
        parallelism=LAYOUT,
        trainer={"pictures": True},
    )
    runs.train(one)
    assert runs.on_ranks(forkserver, 4, four) == [0, 0, 0, 0]
    for event, key, close in EVENTS:
        expected = runs.losses(tmp_path / "one/out", event, key)
        assert len(expected) >= 2
        assert runs.losses(tmp_path / "four/out", event, key) == pytest.approx(expected, rel=close)
    assert (tmp_path / "four/out/pictures/example.png").is_file()
    assert "no picture" not in (tmp_path / "four/out/log.txt").read_text()


def test_ranks_that_split_tokens_equal_one_process(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    """Both read the same tiles; of an encoder's 5 tokens one has three and the other two."""
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, model=RATE, trainer={"max_epochs": 1})
    runs.train(config, f"trainer.checkpoint_path={tmp_path / 'one'}")
    split = ("parallelism.mode=fsdp", "parallelism.seq_par_size=2")
    two = f"trainer.checkpoint_path={tmp_path / 'two'}"
    assert runs.on_ranks(forkserver, 2, config, two, *split) == [0, 0]
    for event, key, close in EVENTS:
        expected = runs.losses(tmp_path / "one", event, key)
        assert len(expected) >= 1
        assert runs.losses(tmp_path / "two", event, key) == pytest.approx(expected, rel=close)


ADAPTIVE = {"adaptive_patching": True, "patch_size": 4, "fixed_length": 15}


@pytest.mark.parametrize(
    ("batch", "parallelism"),
    [
        (4, {"seq_par_size": 2, "seq_par_attention": "ring"}),
        pytest.param(
            2,
            {"fsdp_size": 2, "cpu_offloading": True, "reduce_type": "bfloat16"},
            marks=pytest.mark.deep,
        ),
    ],
)
def test_options_together_equal_one_process(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, batch: int, parallelism: dict[str, object]
) -> None:
    """Adaptive patches of single channels, accumulated; sums in bfloat16 are that much less exact."""
    close = 1e-3 if "reduce_type" in parallelism else 1e-5
    for name, size, options in (("one", 4, {}), ("two", batch, {"mode": "fsdp", **parallelism})):
        config = runs.write_config(
            tmp_path / name / "c.yaml",
            "masked",
            concrete,
            data={"batch_size": size, "single_channel": True},
            model=RATE | ADAPTIVE,
            trainer={"max_epochs": 1, "accumulate_steps": 2},
            parallelism=options,
        )
        if name == "one":
            runs.train(config)
        else:
            assert runs.on_ranks(forkserver, 2, config) == [0, 0]
    expected = runs.losses(tmp_path / "one/out")
    assert len(expected) == 3
    assert runs.losses(tmp_path / "two/out") == pytest.approx(expected, rel=close)
    nowhere = ("trainer.overwrite=true", "trainer.start_from=/nowhere")
    assert runs.on_ranks(forkserver, 2, config, *nowhere) == [1, 1]
    assert runs.losses(tmp_path / "two/out") == pytest.approx(expected, rel=close)


def test_float16_is_scaled_alike_on_all_ranks(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    """Ranks hold other parts of a gradient, and leave out the same steps."""
    half = {"max_epochs": 1, "data_type": "float16"}
    for name, size, parts in (("one", 4, {}), ("two", 2, {"mode": "fsdp", "fsdp_size": 2})):
        config = runs.write_config(
            tmp_path / name / "c.yaml",
            "masked",
            concrete,
            data={"batch_size": size},
            model=RATE,
            trainer=half,
        )
        options = [f"parallelism.{key}={value}" for key, value in parts.items()]
        assert runs.on_ranks(forkserver, 4 // size, config, *options) == [0] * (4 // size)
    one, two = (runs.losses(tmp_path / name / "out") for name in ("one", "two"))
    assert two == pytest.approx(one, rel=1e-2)
    saved, _ = checkpoint.load_newest(tmp_path / "two/out", "last")
    assert saved is not None
    assert saved.state["scale"]["good"] == len(two)


@pytest.mark.deep
def test_a_run_resumes_on_its_layout_and_on_one_process(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    whole = runs.write_config(
        tmp_path / "whole/c.yaml", "masked", concrete, data={"batch_size": 4}, model=RATE
    )
    runs.train(whole)
    expected = runs.losses(tmp_path / "whole/out")
    steps = len(expected)
    parts = runs.write_config(
        tmp_path / "parts/c.yaml", "masked", concrete, data={"batch_size": 2}, model=RATE, parallelism=LAYOUT
    )
    schedule = f"model.max_steps={steps}"
    again = "trainer.resume_from_checkpoint=true"
    assert runs.on_ranks(forkserver, 4, parts, "trainer.max_steps=4", schedule) == [0] * 4
    newest, _ = checkpoint.load_newest(tmp_path / "parts/out", "last")
    assert newest is not None
    assert all(tensor.numel() for tensor in newest.weights.values())
    assert runs.on_ranks(forkserver, 4, parts, "trainer.max_steps=8", schedule, again) == [0] * 4
    runs.train(
        parts,
        again,
        schedule,
        "parallelism.mode=simple",
        "parallelism.fsdp_size=1",
        "parallelism.tensor_par_size=1",
        "data.batch_size=4",
    )
    assert runs.losses(tmp_path / "parts/out") == pytest.approx(expected, rel=1e-5)


def train_and_compare(environment: dict[str, str], config: Path, *overrides: str) -> None:
    """Train on ranks with the same samples, which must draw alike before each batch, and end up equal."""
    os.environ |= environment
    torch.set_num_threads(1)
    run = load(config, overrides)
    with start(run) as world:
        task = build_task(run)
        draw, generators = task.draw, []

        def noted(batch: Batch) -> Batch:
            generators.append(torch.get_rng_state().sum().item())
            return draw(batch)

        task.draw = noted  # type: ignore[method-assign]
        train_task(task, run, world)
        of_ranks = world.gather(generators)
        assert of_ranks[0] == of_ranks[1] and len(set(generators)) > 6
        own = {
            name: parameter.full_tensor().detach().numpy()  # type: ignore[attr-defined]
            for name, parameter in task.named_parameters()
            if ".encoder." not in name
        }
        first, second = world.gather(own)
    assert first
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.deep
@pytest.mark.parametrize("split", ["tensor_par_size", "seq_par_size"])
def test_ranks_that_take_up_a_run_with_dropout_stay_one_network(
    tmp_path: Path, concrete: Path, forkserver: BaseContext, split: str
) -> None:
    """Data ranks draw apart; once they share samples, they draw alike where they do the same."""
    dropout = RATE | {"drop_rate": 0.2, "drop_path": 0.3}
    config = runs.write_config(tmp_path / "c.yaml", "masked", concrete, model=dropout, data={"batch_size": 2})
    assert runs.on_ranks(forkserver, 2, config, "trainer.max_steps=2") == [0, 0]
    resumed = [
        "trainer.resume_from_checkpoint=true",
        "trainer.max_steps=6",
        "data.batch_size=2",
        "trainer.accumulate_steps=2",
    ]
    layout = ["parallelism.mode=fsdp", f"parallelism.{split}=2", "parallelism.fsdp_size=1"]
    assert runs.on_ranks(forkserver, 2, config, *resumed, *layout, target=train_and_compare) == [0, 0]


def test_simple_ddp_size_alone_is_mode_simple(
    tmp_path: Path, concrete: Path, forkserver: BaseContext
) -> None:
    for mode in ("simple", "fsdp"):
        config = runs.write_config(
            tmp_path / mode / "c.yaml", "masked", concrete, parallelism={"mode": mode}, data={"batch_size": 2}
        )
        assert runs.on_ranks(forkserver, 2, config) == [0, 0]
    assert runs.losses(tmp_path / "fsdp/out") == runs.losses(tmp_path / "simple/out")


def test_heads_that_do_not_divide_are_refused(tmp_path: Path, concrete: Path) -> None:
    config = runs.write_config(
        tmp_path / "c.yaml",
        "masked",
        concrete,
        model={"num_heads": 12, "decoder_num_heads": 6},
        parallelism={"mode": "fsdp", "tensor_par_size": 5},
    )
    message = r"5 tensor ranks can't share model.num_heads = 12, .* evenly; take 3 or 6"
    with pytest.raises(ConfigError, match=message):
        runs.train(config)
