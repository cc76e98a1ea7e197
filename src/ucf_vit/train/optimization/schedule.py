"""Learning rate by optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ucf_vit.config.sections.optimizer import Optimizer

Rate = Callable[[int], float]
KEYS = ("lr", "warmup_steps", "max_steps", "warmup_start_lr", "eta_min")
"""Keys of section `optimizer` that make a schedule."""
NOTICED = 0.01
"""Share of `optimizer.lr` by which the rate may change unsaid where a run goes on."""


def warmup_cosine(
    lr: float, warmup_steps: int, max_steps: int, warmup_start_lr: float = 0.0, eta_min: float = 0.0
) -> Rate:
    """Learning rate of step i: linear from `warmup_start_lr` to `lr`, then half a cosine down to `eta_min`.

    The warm-up reaches `lr` at step `warmup_steps - 1`, so that one of a single step is none; from
    `max_steps` on the rate stays at `eta_min` (Loshchilov and Hutter 2017, without restarts).
    """

    def rate(step: int) -> float:
        if step < warmup_steps - 1:
            return warmup_start_lr + (lr - warmup_start_lr) * step / (warmup_steps - 1)
        progress = min(1.0, max(0, step - warmup_steps) / max(1, max_steps - warmup_steps))
        return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * progress)) / 2

    return rate


def schedule(options: Optimizer, total_steps: int) -> Rate:
    """The learning rate of a run of `total_steps`, as its config says."""
    length = options.max_steps or total_steps
    return warmup_cosine(options.lr, options.warmup_steps, length, options.warmup_start_lr, options.eta_min)


def jump(
    before: Mapping[str, Any], steps_before: int, options: Optimizer, total_steps: int, step: int
) -> str:
    """How the rate of the next step differs from that of the schedule so far, why, and how to keep that one.

    `before` is section `optimizer` of the config so far, without what is None. Nothing where the rates are
    alike.
    """
    now = {key: getattr(options, key) for key in KEYS}
    then = now | {"max_steps": None} | {key: value for key, value in before.items() if key in KEYS}
    so_far = options.model_copy(update=then)
    old, new = schedule(so_far, steps_before)(step), schedule(options, total_steps)(step)
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
    said = f"the learning rate is {new:.3g} from step {step} on, not {old:.3g}: {', '.join(causes)}"
    floor = f"from step {was} on at optimizer.eta_min = {options.eta_min:g}"
    return said if length == was else f"{said}. With optimizer.max_steps={was} it goes on as so far, {floor}"
