"""Learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ucf_vit.config.sections.optimizer import Optimizer

Rate = Callable[[int], float]
KEYS = ("lr", "warmup_steps", "max_steps", "warmup_start_lr", "eta_min")
"""Keys of section `optimizer` that define the schedule."""
NOTICED = 0.01
"""Fraction of `optimizer.lr` by which the rate of a resumed run may jump without a warning."""


def warmup_cosine(
    lr: float, warmup_steps: int, max_steps: int, warmup_start_lr: float = 0.0, eta_min: float = 0.0
) -> Rate:
    """Returns the learning rate as a function of the step: linear warm-up, then half a cosine.

    The warm-up goes from `warmup_start_lr` to `lr`, which it reaches at step `warmup_steps - 1`, so a warm-up
    of one step has no effect. The cosine (Loshchilov and Hutter 2017, without restarts) goes down to
    `eta_min` at step `max_steps`, where the rate stays.
    """

    def rate(step: int) -> float:
        if step < warmup_steps - 1:
            return warmup_start_lr + (lr - warmup_start_lr) * step / (warmup_steps - 1)
        progress = min(1.0, max(0, step - warmup_steps) / max(1, max_steps - warmup_steps))
        return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * progress)) / 2

    return rate


def schedule(options: Optimizer, total_steps: int) -> Rate:
    """Returns the learning rate of a run of `total_steps` as a function of the step."""
    length = options.max_steps or total_steps
    return warmup_cosine(options.lr, options.warmup_steps, length, options.warmup_start_lr, options.eta_min)


def describe_jump(
    before: Mapping[str, Any], steps_before: int, options: Optimizer, total_steps: int, step: int
) -> str:
    """Returns a message if the learning rate of a resumed run jumps, with the cause and how to avoid it.

    `before` is section `optimizer` of the former config, without values that are None, and `steps_before` its
    number of steps. `step` is the next one. Empty if both schedules have the same rate there.
    """
    now = {key: getattr(options, key) for key in KEYS}
    then = now | {"max_steps": None} | {key: value for key, value in before.items() if key in KEYS}
    former = options.model_copy(update=then)
    old, new = schedule(former, steps_before)(step), schedule(options, total_steps)(step)
    if abs(new - old) <= NOTICED * options.lr:
        return ""
    length, was = now.pop("max_steps") or total_steps, then.pop("max_steps") or steps_before
    causes = [
        f"optimizer.{key} is {value:g} (was {then[key]:g})"
        for key, value in now.items()
        if value != then[key]
    ]
    if length != was:
        causes.append(f"the schedule ends at step {length} (so far {was})")
    message = f"the learning rate is {new:.3g} from step {step} on, not {old:.3g}: {', '.join(causes)}"
    floor = f"from step {was} on at optimizer.eta_min = {options.eta_min:g}"
    return (
        message
        if length == was
        else f"{message}. With optimizer.max_steps={was} it goes on as so far, {floor}"
    )
