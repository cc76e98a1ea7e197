"""Optimizer step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.log import FILE_ONLY
from ucf_vit.core.seeds import seed_generators
from ucf_vit.data.batch import Batch
from ucf_vit.parallel.gradient_norm import clip_gradients
from ucf_vit.parallel.simple import no_gradient_sync
from ucf_vit.tasks.task import Loss
from ucf_vit.training.hooks.hook import Hook
from ucf_vit.training.state import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepSettings:
    """Settings of a step.

    `rate(step)` is the learning rate, `dtype` the type of matrix products (autocast), `gradient_clip` the
    largest global gradient norm (0: no clipping), `max_bad_losses` the number of steps in a row that may be
    skipped because the loss or the gradient is not finite, `seed` the seed of dropout and stochastic depth.
    """

    rate: Callable[[int], float]
    dtype: torch.dtype = torch.float32
    gradient_clip: float = 1.0
    max_bad_losses: int = 5
    seed: int = 0


@dataclass(frozen=True)
class StepResult:
    """Metrics averaged over all processes, and whether a signal asked any of them to stop."""

    metrics: dict[str, float]
    stop: bool


def train_step(
    state: State,
    settings: StepSettings,
    batches: Sequence[Batch],
    stop: bool = False,
    hooks: Sequence[Hook] = (),
) -> StepResult:
    """Accumulates the gradient over `batches`, clips it and updates the weights.

    `hooks` are called after each forward pass. If the loss or the gradient norm is not finite, the weights,
    their average and the moments stay unchanged. Raises UserError after `max_bad_losses` such steps in a row,
    naming the data.

    Dropout and stochastic depth are a function of (seed, step, data rank), so a resumed run draws the same
    numbers. Ranks with the same samples start with the same generators; if each holds a part of the tokens,
    `parallel.encoder.split_dropout.rank_randomness` gives them different ones.
    """
    seed_generators(state.world.device, settings.seed, "step", state.step, state.world.data_rank)
    rate = settings.rate(state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    means = _gradients(state, settings, batches, stop, hooks)
    rescaled = math.isfinite(means["loss"]) and state.scale.can_shrink
    norm = _update(state, settings) if math.isfinite(means["loss"]) else math.nan
    if state.ema is not None and math.isfinite(norm):
        state.ema.update(state.task)
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if math.isfinite(norm):
        state.task.after_step(state)
    _count_skipped(state, settings, batches, norm, rescaled)
    stop = means.pop("stop") > 0
    return StepResult(means | {"lr": rate, "grad_norm": norm}, stop)


def _gradients(
    state: State, settings: StepSettings, batches: Sequence[Batch], stop: bool, hooks: Sequence[Hook]
) -> dict[str, float]:
    """Accumulates the gradient of the mean loss over all samples of all data ranks; returns mean metrics.

    The all-reduce averages gradients over data ranks, which may have different numbers of samples. A rank's
    loss of a batch is a mean over its own samples, so it is weighted by that number divided by the number of
    samples per rank of all batches together.
    """
    sums: dict[str, Tensor] = {}
    samples = sum(batch.mean_size for batch in batches)
    for index, batch in enumerate(batches):
        weight = batch.weight / samples
        last = index == len(batches) - 1
        with nullcontext() if last else no_gradient_sync(state.replica):
            drawn = state.task.draw(batch).to(state.world.device)
            loss = _forward(state, settings, drawn)
            for hook in hooks:
                hook.on_forward(state, drawn, Loss(loss.value.detach(), loss.metrics))
            for name, value in {"loss": loss.value, **loss.metrics}.items():
                sums[name] = sums.get(name, 0.0) + weight * value.detach().float()
            if last:
                reduced = _sum_over_ranks(state, sums, stop)
            state.scale.scale(loss.value * weight).backward()
    return dict(zip((*sums, "stop"), (reduced() / state.world.size).tolist(), strict=True))


def _forward(state: State, settings: StepSettings, drawn: Batch) -> Loss:
    reduced = settings.dtype != torch.float32
    with torch.autocast(state.world.device.type, settings.dtype if reduced else None, enabled=reduced):
        return state.replica(drawn)


def _sum_over_ranks(state: State, values: dict[str, Tensor], stop: bool) -> Callable[[], Tensor]:
    """Starts one small all-reduce of loss, metrics and the stop flag; the returned function waits for it.

    It overlaps with the backward pass. Waiting for it earlier would be waiting for the slowest forward pass.
    """
    flag = values["loss"].new_tensor(float(stop))
    return state.world.sum_async(torch.stack([*values.values(), flag]))


def _update(state: State, settings: StepSettings) -> float:
    """Clips and updates unless a gradient is not finite; returns the gradient norm before clipping."""
    state.scale.unscale(state.task.parameters())
    largest = settings.gradient_clip or math.inf
    norm = clip_gradients(state.task.parameters(), largest, state.world)
    if math.isfinite(norm):
        state.optimizer.step()
    state.scale.update(norm)
    return norm


def _count_skipped(
    state: State, settings: StepSettings, batches: Sequence[Batch], norm: float, rescaled: bool
) -> None:
    """Logs a skipped step. Raises UserError after too many in a row that a smaller loss scale cannot help."""
    if math.isfinite(norm):
        state.bad_losses = 0
        return
    if rescaled:
        state.bad_losses = 0
        _log_skipped(
            state, logging.INFO, f"a gradient overflowed; the loss is scaled by {state.scale.value:g} now"
        )
        return
    state.bad_losses += 1
    _log_skipped(state, logging.WARNING, "loss or gradient is not finite")
    if state.bad_losses >= settings.max_bad_losses:
        seen = [(batch.dataset, *batch.files) for batch in batches]
        names = {
            f"{dataset}: {file}"
            for rank in state.world.gather(seen)
            for dataset, *files in rank
            for file in files
        }
        raise UserError(
            f"loss or gradient not finite in {state.bad_losses} steps in a row, up to step {state.step}; "
            f"data of the last: {', '.join(sorted(names))}. Lower optimizer.lr, set trainer.gradient_clip, "
            "use trainer.data_type=float32, or look at these files"
        )


def _log_skipped(state: State, level: int, cause: str) -> None:
    """Logs one line for all ranks, which have the same cause; below a warning it goes only to the file."""
    if state.world.is_main:
        extra = None if level >= logging.WARNING else FILE_ONLY
        log.log(level, "step %d: %s; weights are left as they were", state.step, cause, extra=extra)
