"""Checks of the sections `model`, `input` and `optimizer`."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.registries.networks import BUILT_IN


def network(run: Run) -> Iterator[Problem]:
    """Checks that the network's output is the one that the task needs, if both declare it."""
    needed, output = run.task_facts.network_output, run.network_facts.output
    if needed and output and output != needed:
        fitting = [name for name, facts in BUILT_IN.items() if facts.output == needed]
        message = (
            f"its output is {output}, but task {run.task} needs {needed}; take {' or '.join(fitting)}, a "
            "network of your own, or another task"
        )
        yield Problem(("model", "name"), message, run.network)


def dimensions(run: Run) -> Iterator[Problem]:
    """Checks that a tile of two sides is 2D, and that names of variables are distinct."""
    seen = run.input
    if len(seen.tile_size) == 2 and not seen.twoD:
        message = (
            f"tile_size {seen.tile_size} has 2 entries, which is 2D; give 3 entries, or set twoD to true"
        )
        yield Problem(("input", "twoD"), message, seen.twoD)
    if len(set(seen.default_vars)) < len(seen.default_vars):
        yield Problem(("input", "default_vars"), "a variable occurs twice; remove one", seen.default_vars)


def patches(run: Run) -> Iterator[Problem]:
    """Checks that the patch divides every side of the tile, for networks with a grid of patches."""
    facts = run.network_facts
    if not facts.encoder or (run.adaptive.adaptive_patching and not facts.grid_decoder):
        return
    sides, patch = run.spatial_tile, run.input.patch_size
    if any(side % patch for side in sides):
        near = [max(patch, (side + patch // 2) // patch * patch) for side in sides]
        better = f"take patch_size {nearest_divisors(divisors(gcd(*sides)), patch)} or the tile {near}"
        message = f"patch_size {patch} does not divide every side of the tile {list(sides)}; {better}"
        yield pair(run, "input.patch_size", "input.tile_size", message)


def heads(run: Run) -> Iterator[Problem]:
    """Checks that the number of heads divides the width, in the encoder and in the decoder."""
    model = run.model
    if not run.network_facts.encoder:
        return
    pairs = [("num_heads", model.num_heads, "embed_dim", model.embed_dim)]
    if not model.linear_decoder:
        pairs += [
            ("decoder_num_heads", model.decoder_num_heads, "decoder_embed_dim", model.decoder_embed_dim)
        ]
    for name, count, width_name, width in pairs:
        if width % count:
            near = nearest_divisors(divisors(width), count)
            better = f"{name} {near} or {width_name} {(width // count + 1) * count}"
            message = f"{name} {count} does not divide {width_name} {width}; take {better}"
            yield pair(run, f"model.{name}", f"model.{width_name}", message)


def divisors(number: int) -> list[int]:
    """Returns the divisors of `number` up to 4096."""
    return [d for d in range(1, min(number, 4096) + 1) if number % d == 0]


def nearest_divisors(numbers: list[int], wanted: int) -> int:
    """Returns the number in `numbers` that is nearest to `wanted`."""
    return min(numbers, key=lambda number: abs(number - wanted))


def pair(run: Run, key: str, other: str, message: str) -> Problem:
    """Returns a problem of two keys, reported at the one that was overridden, or else given in the file."""
    shown = run.written(key, other)
    return Problem(tuple(shown.split(".")), message, run.value(shown))


def schedule(run: Run) -> Iterator[Problem]:
    """Checks that the warm-up ends before the schedule, and that the final rate is not above the first."""
    schedule, end = run.optimizer, run.optimizer.max_steps
    if end is not None and schedule.warmup_steps >= end:
        message = f"expected less than {run.name_of('optimizer.max_steps')} = {end}, "
        message += "the length of the whole schedule"
        yield Problem(("optimizer", "warmup_steps"), message, schedule.warmup_steps)
    if schedule.eta_min > schedule.lr:
        message = f"expected at most {run.name_of('optimizer.lr')} = {schedule.lr}"
        yield Problem(("optimizer", "eta_min"), message, schedule.eta_min)
