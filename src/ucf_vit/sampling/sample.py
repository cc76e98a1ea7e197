"""Samples of a trained diffusion run: generates, writes and compares them."""

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
from ucf_vit.sampling.tiles import TileFilter, Trees, find_trees
from ucf_vit.tasks.denoising import Denoising
from ucf_vit.training.saved_runs.open_trained import Trained, open_trained

log = logging.getLogger(__name__)
STEPS = 50
"""Default number of sampling steps; fewer if training had fewer."""
MEANING = ("diffusion.num_time_steps", "diffusion.noise_schedule", "diffusion.prediction")
"""Keys that define the meaning of the network's output."""


@dataclass(frozen=True)
class Sampling:
    """Options of sampling, see `Denoising.generate`. `conditions` are values by name."""

    number: int = 16
    steps: int | None = None
    eta: float = 0.0
    guidance: float = 1.0
    conditions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    batch_size: int = 16


def sample_run(
    path: Path,
    request: Sampling,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    with_comparison: bool = False,
    overrides: Sequence[str] = (),
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Generates samples from the checkpoint or run at `path`, and writes them.

    Existing samples are replaced only with `overwrite`. `on_batch` is called with the number of finished
    samples and of all. Raises UserError for an impossible request before generating anything.
    """
    if request.number < 1:
        raise UserError(f"--number {request.number}: expected at least one sample")
    trained = open_diffusion(path, overrides)
    labels = labels_of(request, trained.task.conditions)
    like = tile_filter(trained, request)
    steps = steps_of(trained, request)
    folder = out or trained.directory.parent / "samples"
    if with_comparison:
        check_comparable(trained.run, request.number)
    names = files.names_of(request.number, len(trained.run.spatial_tile), with_comparison)
    files.open_folder(folder, names, overwrite)
    patcher = trained.task.patcher
    trees = None
    if patcher is not None:
        trees = find_trees(trained.run, trained.record, patcher, like, request.number, request.seed)
    began = time.monotonic()
    samples = generate(trained, request, steps, labels, trees, on_batch)
    seconds = (time.monotonic() - began) / request.number
    variables = variable_names(trained, request)
    files.write_values(folder, samples, variables)
    write_atomic(folder / files.PICTURE, files.draw_samples(samples, variables))
    about = {
        "checkpoint": str(trained.directory),
        "step": trained.step,
        **asdict(request),
        "steps": steps,
        "variables": list(variables),
        "seconds_per_sample": round(seconds, 4),
    }
    write_atomic(folder / files.SETTINGS, json.dumps(about, indent=1) + "\n")
    say(f"{folder}: {request.number} samples of {trained.directory} (step {trained.step}), {steps} steps")
    say(f"{seconds:.3g} s each on {trained.device.type}, values {samples.min():.3g} to {samples.max():.3g}")
    if trees is not None:
        others = len(trees) - trees.held_out
        say(f"along the trees of {trees.held_out} held-out and {others} training tiles, in turn")
    if with_comparison:
        say(f"comparing with held-out and training tiles ({like})")
        fidelity = compare_with_data(
            samples, trained.run, trained.record, trained.task, like, request.seed, trained.device
        )
        drawn = files.draw_neighbours(samples, fidelity.neighbour, fidelity.nearest, variables)
        write_atomic(folder / files.NEIGHBOURS, drawn)
        write_atomic(
            folder / files.FIDELITY,
            json.dumps({**fidelity.summary(), "sampling": about}, indent=1) + "\n",
        )
        print_fidelity(fidelity)


def open_diffusion(path: Path, overrides: Sequence[str] = ()) -> Trained[Denoising]:
    """Returns the diffusion model of the run or checkpoint at `path`, see `open_trained`.

    Raises UserError for another task, and for overrides that change what the network's output means.
    """
    trained = open_trained(path, overrides)
    if not isinstance(trained.task, Denoising):
        raise UserError(
            f"{trained.directory} is of task {trained.run.task}; only models of task diffusion "
            "generate samples"
        )
    if any(difference.startswith(MEANING) for difference in trained.differences):
        differing = "; ".join(trained.differences)
        raise UserError(f"{trained.directory} was trained with other settings: {differing}; leave them out")
    return cast(Trained[Denoising], trained)


def steps_of(trained: Trained[Denoising], request: Sampling) -> int:
    """Returns the number of sampler steps. Raises UserError if training had fewer."""
    most = len(trained.task.signal)
    steps = min(STEPS, most) if request.steps is None else request.steps
    if not 1 <= steps <= most:
        raise UserError(f"--steps {steps}: the model was trained with {most} steps; expected 1 to {most}")
    return steps


def labels_of(request: Sampling, known: Mapping[str, Sequence[str]]) -> Tensor | None:
    """Returns the labels `[1, K]` int64 of every sample, None without conditions.

    Raises UserError, with the known ones, for an unknown condition or value.
    """
    for name, value in request.conditions.items():
        if name not in known:
            conditions = "; it has " + ", ".join(known) if known else ": it was trained without conditions"
            hint = did_you_mean(name, list(known))
            raise UserError(
                f"--condition {name}={value}: the model has no condition {name!r}{hint}{conditions}"
            )
        if value not in known[name]:
            values = list(known[name])
            few = ", ".join(values[:20]) + (f", ... ({len(values)} in all)" if len(values) > 20 else "")
            raise UserError(
                f"--condition {name}={value}: no such value{did_you_mean(value, values)}; known: {few}"
            )
    if not request.conditions:
        if request.guidance != 1:
            raise UserError(
                f"--guidance {request.guidance:g} has no effect without a condition; name a --condition"
            )
        return None
    numbers = [
        list(values).index(request.conditions[name]) if name in request.conditions else -1
        for name, values in known.items()
    ]
    return torch.tensor([numbers])


def tile_filter(trained: Trained[Denoising], request: Sampling) -> TileFilter:
    """Returns the filter for tiles like the samples: with their data set, class and variables, if given."""
    number = request.conditions.get("class")
    classes = list(trained.task.conditions.get("class", ()))
    return TileFilter(
        dataset=request.conditions.get("dataset"),
        label=None if number is None else classes.index(number),
        class_name=number,
        variables=variable_names(trained, request) if trained.run.variables.use_varemb else None,
    )


def variable_names(trained: Trained[Denoising], request: Sampling) -> tuple[str, ...]:
    """Returns the names of a sample's channels; with use_varemb those of its (or the first) data set."""
    run = trained.run
    if run.variables.use_varemb:
        name = request.conditions.get("dataset", run.datasets[0])
        names = run.data.dict_in_variables[name]
        count = 1 if run.data.single_channel else run.data.num_channels_used.get(name, len(names))
        return tuple(names[:count])
    if run.data.single_channel:
        return ("channel",)
    return tuple(run.input.default_vars)


@torch.inference_mode()
def generate(
    trained: Trained[Denoising],
    request: Sampling,
    steps: int,
    labels: Tensor | None,
    trees: Trees | None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Returns samples `[N, C, *S]` float32 on the CPU; sample i depends only on the seed and i."""
    run, task = trained.run, trained.task
    dtype = getattr(torch, run.trainer.data_type)
    variables = variable_names(trained, request) if run.variables.use_varemb else None
    parts: list[Tensor] = []
    on_batch(0, request.number)
    for first in range(0, request.number, request.batch_size):
        numbers = range(first, min(first + request.batch_size, request.number))
        with torch.autocast(trained.device.type, dtype, enabled=dtype != torch.float32):
            generated = task.generate(
                torch.tensor([seed_of(request.seed, "sample", i) for i in numbers]),
                steps=steps,
                eta=request.eta,
                guidance=request.guidance,
                labels=None if labels is None else labels.expand(len(numbers), -1),
                leaves=None if trees is None else trees.of(numbers),
                variables=variables,
            )
        parts.append(generated.float().cpu())
        if not parts[-1].isfinite().all():
            raise UserError(
                f"{trained.directory}: samples {numbers[0]} to {numbers[-1]} are not finite; train on, take "
                "more --steps or less --guidance, or try trainer.data_type=float32"
            )
        on_batch(numbers[-1] + 1, request.number)
    return torch.cat(parts)
