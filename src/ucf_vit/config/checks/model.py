"""Checks of the sections `model`, `input` and `optimizer`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.core.per_axis import compact
from ucf_vit.options.divisors import divisors, nearest_divisors, undivided
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


def sides(run: Run) -> Iterator[Problem]:
    """Checks that lists of sides have one for each axis; that of 2D slices may have a third, as tile_size."""
    fitting = {len(run.spatial_tile), len(run.input.tile_size)}
    for section, name in (("input", "patch_size"), ("adaptive", "min_leaf")):
        value = run.value(f"{section}.{name}")
        if isinstance(value, list) and len(value) not in fitting:
            message = (
                f"{len(value)} sides for a tile of {len(run.spatial_tile)} axes, {run.input.tile_size}; "
            )
            yield Problem((section, name), message + "give one number, or one for each axis", value)


def patches(run: Run) -> Iterator[Problem]:
    """Checks that the patch divides every side of the tile, for networks with a grid of patches."""
    facts = run.network_facts
    if not facts.encoder or (run.adaptive.adaptive_patching and not facts.grid_decoder):
        return
    tile, patch = run.spatial_tile, run.patch
    if any(side % p for side, p in zip(tile, patch, strict=True)):
        near = [max(p, (side + p // 2) // p * p) for side, p in zip(tile, patch, strict=True)]
        better = f"take patch_size {_dividing(tile, patch)} or the tile {near}"
        message = f"patch_size {compact(patch)} does not divide every side of the tile {list(tile)}; {better}"
        yield pair(run, "input.patch_size", "input.tile_size", message)


def stem(run: Run) -> Iterator[Problem]:
    """Checks that a convolutional stem sees whole images of fixed channels, and can reach its patches."""
    if run.input.stem == "patch":
        return
    against = {
        "is masked before it is embedded": run.network_facts.masks_tokens,
        "has adaptive patches (adaptive_patching)": run.adaptive.adaptive_patching,
        "may lack channels (use_varemb)": run.variables.use_varemb,
    }
    for reason, true in against.items():
        if true:
            message = f"a convolutional stem sees whole images, and an image here {reason}; take stem patch"
            yield Problem(("input", "stem"), message, run.input.stem)
    if any(side & (side - 1) for side in run.patch):
        message = f"stem conv halves patches to one token: {compact(run.patch)} are no powers of 2"
        yield pair(run, "input.patch_size", "input.stem", message)


def _dividing(tile: Sequence[int], patch: Sequence[int]) -> int | list[int]:
    """Returns sides near to those of `patch` that divide the tile; one number where `patch` is one."""
    if len(set(patch)) == 1:
        return nearest_divisors(divisors(gcd(*tile)), patch[0])
    return [nearest_divisors(divisors(side), p) for side, p in zip(tile, patch, strict=True)]


def heads(run: Run) -> Iterator[Problem]:
    """Checks that the number of heads divides the width, in the encoder and in the decoder."""
    model = run.model
    if not run.network_facts.encoder:
        return
    pairs = [] if model.head_dim else [("num_heads", model.num_heads, "embed_dim", model.embed_dim)]
    if not model.linear_decoder:
        pairs += [
            ("decoder_num_heads", model.decoder_num_heads, "decoder_embed_dim", model.decoder_embed_dim)
        ]
    for name, count, width_name, width in pairs:
        if message := undivided(count, width, name, width_name):
            yield pair(run, f"model.{name}", f"model.{width_name}", message)


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
