"""Checks of the section `model`."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run


def dimensions(run: Run) -> Iterator[Problem]:
    """Two sides make 2D tiles; names of variables are distinct."""
    model = run.model
    if len(model.tile_size) == 2 and not model.twoD:
        message = (
            f"tile_size {model.tile_size} has 2 entries, which is 2D; give 3 entries, or set twoD to true"
        )
        yield Problem(("model", "twoD"), message, model.twoD)
    if len(set(model.default_vars)) < len(model.default_vars):
        yield Problem(("model", "default_vars"), "a variable is there twice; remove one", model.default_vars)


def patches(run: Run) -> Iterator[Problem]:
    """The patch divides every side of the tile that the network sees, where that has a grid."""
    if run.model.adaptive_patching and run.task != "unetr":
        return
    sides, patch = run.spatial_tile, run.model.patch_size
    if any(side % patch for side in sides):
        near = [max(patch, (side + patch // 2) // patch * patch) for side in sides]
        better = f"take patch_size {nearest_divisors(divisors(gcd(*sides)), patch)} or the tile {near}"
        message = f"patch_size {patch} does not divide every side of the tile {list(sides)}; {better}"
        yield pair(run, "patch_size", "tile_size", message)


def heads(run: Run) -> Iterator[Problem]:
    """The heads divide the width, in the encoder and in the decoder."""
    model = run.model
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
            yield pair(run, name, width_name, message)


def divisors(number: int) -> list[int]:
    """The divisors of `number` up to some thousands."""
    return [d for d in range(1, min(number, 4096) + 1) if number % d == 0]


def nearest_divisors(numbers: list[int], wanted: int) -> int:
    """That of `numbers` nearest to `wanted`."""
    return min(numbers, key=lambda number: abs(number - wanted))


def pair(run: Run, name: str, other: str, message: str) -> Problem:
    """A problem of two keys, shown at that which was overridden or, failing that, written."""
    shown = run.written("model", name, other)
    return Problem(("model", shown), message, getattr(run.model, shown))


def schedule(run: Run) -> Iterator[Problem]:
    """The warm-up ends before the schedule does, and the cosine goes down."""
    model = run.model
    if model.max_steps is not None and model.warmup_steps >= model.max_steps:
        message = f"expected less than model.max_steps = {model.max_steps}, the length of the whole schedule"
        yield Problem(("model", "warmup_steps"), message, model.warmup_steps)
    if model.eta_min > model.lr:
        yield Problem(("model", "eta_min"), f"expected at most model.lr = {model.lr}", model.eta_min)
