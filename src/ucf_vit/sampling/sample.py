"""New images from a trained diffusion run: as files, and compared with its data."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.log import say
from ucf_vit.core.seeds import seed_of
from ucf_vit.sampling import files
from ucf_vit.sampling.compare_with_data import check_comparable, compare_with_data, print_fidelity
from ucf_vit.sampling.tiles import Trees, Wanted, find_trees
from ucf_vit.tasks.denoising import Denoising
from ucf_vit.train.saved_runs.open_trained import Trained, open_trained

log = logging.getLogger(__name__)
STEPS = 50
"""Default number of sampling steps, if training had as many."""
MEANING = ("diffusion.num_time_steps", "diffusion.noise_schedule", "diffusion.prediction")
"""Keys that say what the network's answers mean."""


@dataclass(frozen=True)
class Sampling:
    """Request of samples; see `Denoising.generate`. `conditions` are values by name."""

    number: int = 16
    steps: int | None = None
    eta: float = 0.0
    guidance: float = 1.0
    conditions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 16


def sample_run(
    path: Path,
    wanted: Sampling,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    with_comparison: bool = False,
    overrides: Sequence[str] = (),
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Generate what is `wanted` from the checkpoint or run at `path`; write it, print what was written.

    Samples that are there already are only replaced with `overwrite`. `on_batch` is given how many samples
    are done, of how many. Raises UserError, before anything is generated, for what cannot be.
    """
    if wanted.number < 1:
        raise UserError(f"--number {wanted.number}: expected at least one sample")
    trained = open_diffusion(path, overrides)
    labels = labels_of(wanted, trained.task.conditions)
    like = wanted_tiles(trained, wanted)
    steps = steps_of(trained, wanted)
    folder = out or trained.directory.parent / "samples"
    if with_comparison:
        check_comparable(trained.run, wanted.number)
    names = files.names_of(wanted.number, len(trained.run.spatial_tile), with_comparison)
    files.open_folder(folder, names, overwrite)
    patcher = trained.task.patcher
    trees = None
    if patcher is not None:
        trees = find_trees(trained.run, trained.record, patcher, like, wanted.number, wanted.seed)
    began = time.monotonic()
    samples = generate(trained, wanted, steps, labels, trees, on_batch)
    seconds = (time.monotonic() - began) / wanted.number
    variables = variable_names(trained, wanted)
    files.write_values(folder, samples, variables)
    write_atomic(folder / files.PICTURE, files.draw_samples(samples, variables))
    about = {
        "checkpoint": str(trained.directory),
        "step": trained.step,
        **asdict(wanted),
        "steps": steps,
        "variables": list(variables),
        "seconds_per_sample": round(seconds, 4),
    }
    write_atomic(folder / files.SETTINGS, json.dumps(about, indent=1) + "\n")
    say(f"{folder}: {wanted.number} samples of {trained.directory} (step {trained.step}), {steps} steps")
    say(f"{seconds:.3g} s each on {trained.device.type}, values {samples.min():.3g} to {samples.max():.3g}")
    if trees is not None:
        others = len(trees) - trees.held_out
        say(f"along the trees of {trees.held_out} held-out and {others} training tiles, in turn")
    if with_comparison:
        say(f"comparing with held-out and training tiles ({like})")
        found = compare_with_data(
            samples, trained.run, trained.record, trained.task, like, wanted.seed, trained.device
        )
        drawn = files.draw_neighbours(samples, found.neighbour, found.nearest, variables)
        write_atomic(folder / files.NEIGHBOURS, drawn)
        write_atomic(
            folder / files.FIDELITY,
            json.dumps({**found.summary(), "sampling": about}, indent=1) + "\n",
        )
        print_fidelity(found)


def open_diffusion(path: Path, overrides: Sequence[str] = ()) -> Trained[Denoising]:
    """Returns the diffusion model of the run or checkpoint at `path`, see `open_trained`.

    Raises UserError for another task, and for overrides that change what the network's output means.
    """
    trained = open_trained(path, overrides)
    if not isinstance(trained.task, Denoising):
        raise UserError(
            f"{trained.directory} is of task {trained.run.task}; samples are made by models of task diffusion"
        )
    if any(difference.startswith(MEANING) for difference in trained.differences):
        differing = "; ".join(trained.differences)
        raise UserError(f"{trained.directory} was trained otherwise: {differing}; leave these out")
    return cast(Trained[Denoising], trained)


def steps_of(trained: Trained[Denoising], wanted: Sampling) -> int:
    """Steps of the sampler. UserError where training had less."""
    most = len(trained.task.signal)
    steps = min(STEPS, most) if wanted.steps is None else wanted.steps
    if not 1 <= steps <= most:
        raise UserError(f"--steps {steps}: the model was trained with {most} steps; expected 1 to {most}")
    return steps


def labels_of(wanted: Sampling, known: Mapping[str, Sequence[str]]) -> Tensor | None:
    """Labels `[1, K]` int64 of every sample; None where nothing is told. UserError naming what is known."""
    for name, value in wanted.conditions.items():
        if name not in known:
            can = "; it can be told: " + ", ".join(known) if known else ": it was trained with none"
            hint = did_you_mean(name, list(known))
            raise UserError(f"--condition {name}={value}: the model knows no {name!r}{hint}{can}")
        if value not in known[name]:
            values = list(known[name])
            few = ", ".join(values[:20]) + (f", ... ({len(values)} in all)" if len(values) > 20 else "")
            raise UserError(
                f"--condition {name}={value}: no such value{did_you_mean(value, values)}; known: {few}"
            )
    if not wanted.conditions:
        if wanted.guidance != 1:
            raise UserError(
                f"--guidance {wanted.guidance:g}: there is nothing to guide to; name a --condition"
            )
        return None
    numbers = [
        list(values).index(wanted.conditions[name]) if name in wanted.conditions else -1
        for name, values in known.items()
    ]
    return torch.tensor([numbers])


def wanted_tiles(trained: Trained[Denoising], wanted: Sampling) -> Wanted:
    """The tiles that samples are like: of the same data set, class and variables, where these are told."""
    number = wanted.conditions.get("class")
    classes = list(trained.task.conditions.get("class", ()))
    return Wanted(
        dataset=wanted.conditions.get("dataset"),
        label=None if number is None else classes.index(number),
        class_name=number,
        variables=variable_names(trained, wanted) if trained.run.variables.use_varemb else None,
    )


def variable_names(trained: Trained[Denoising], wanted: Sampling) -> tuple[str, ...]:
    """Names of a sample's channels: where these differ, of its data set, the first if none is told."""
    run = trained.run
    if run.variables.use_varemb:
        name = wanted.conditions.get("dataset", run.datasets[0])
        given = run.data.dict_in_variables[name]
        most = 1 if run.data.single_channel else run.data.num_channels_used.get(name, len(given))
        return tuple(given[:most])
    if run.data.single_channel:
        return ("channel",)
    return tuple(run.input.default_vars)


@torch.inference_mode()
def generate(
    trained: Trained[Denoising],
    wanted: Sampling,
    steps: int,
    labels: Tensor | None,
    trees: Trees | None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Samples `[N, C, *S]` float32 on the CPU; number i is a function of the seed and i."""
    run, task = trained.run, trained.task
    dtype = getattr(torch, run.trainer.data_type)
    variables = variable_names(trained, wanted) if run.variables.use_varemb else None
    parts: list[Tensor] = []
    on_batch(0, wanted.number)
    for first in range(0, wanted.number, wanted.batch_size):
        numbers = range(first, min(first + wanted.batch_size, wanted.number))
        with torch.autocast(trained.device.type, dtype, enabled=dtype != torch.float32):
            made = task.generate(
                torch.tensor([seed_of(wanted.seed, "sample", i) for i in numbers]),
                steps=steps,
                eta=wanted.eta,
                guidance=wanted.guidance,
                labels=None if labels is None else labels.expand(len(numbers), -1),
                leaves=None if trees is None else trees.of(numbers),
                variables=variables,
            )
        parts.append(made.float().cpu())
        if not parts[-1].isfinite().all():
            raise UserError(
                f"{trained.directory}: samples {numbers[0]} to {numbers[-1]} are not finite; train on, take "
                "more --steps or less --guidance, or try trainer.data_type=float32"
            )
        on_batch(numbers[-1] + 1, wanted.number)
    return torch.cat(parts)
