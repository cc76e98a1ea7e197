"""Checks of adaptive patching: trees of the tile, and detail."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from math import gcd, prod

from ucf_vit.config.checks.model import pair
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.config.sections.adaptive import Adaptive
from ucf_vit.core.did_you_mean import did_you_mean as meant
from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact
from ucf_vit.options.divisors import divisors, nearest_divisors
from ucf_vit.patching.tree.choose import smallest_leaf
from ucf_vit.patching.tree.forest import Forest

log = logging.getLogger(__name__)
DETAILS = ["canny", "gradient", "variance"]
KEYS = tuple(f"adaptive.{name}" for name in Adaptive.model_fields if name != "adaptive_patching")
"""Keys that have no effect without adaptive patching."""


def only_adaptive(run: Run) -> Iterator[Problem]:
    """Checks that adaptive patching is on for tasks and networks that need it."""
    if run.adaptive.adaptive_patching:
        return
    if run.task_facts.adaptive_only:
        message = f"task {run.task} works on adaptive patches; set it to true, or train task segmentation"
        yield Problem(("adaptive", "adaptive_patching"), message, False)
    elif run.network_facts.adaptive_only:
        message = f"network {run.network} takes adaptive patches only; set it to true"
        yield Problem(("adaptive", "adaptive_patching"), message, False)


def unused(run: Run) -> Iterator[Problem]:
    """Warns of keys without effect; they are allowed, since variants of a config may share them."""
    if not run.adaptive.adaptive_patching:
        warn_unused(run, KEYS, f"{run.name_of('adaptive.adaptive_patching')} is false")
    elif run.adaptive.split_rule == "length":
        keys = ("adaptive.split_threshold", "adaptive.split_overflow")
        warn_unused(run, keys, f"{run.name_of('adaptive.split_rule')} is length")
    yield from ()


def warn_unused(run: Run, keys: Sequence[str], cause: str) -> None:
    """Warns that those of `keys` that differ from their defaults have no effect."""
    given = [key for key in keys if run.value(key) != run.default(key)]
    if given:
        names = ", ".join(map(run.name_of, given))
        log.warning("%s: no effect of %s: %s", run.where(given[0]), names, cause)


def leaves(run: Run) -> Iterator[Problem]:
    """Checks that the tile has trees with fixed_length leaves."""
    adaptive, length = run.adaptive, run.adaptive.fixed_length or 0
    if not adaptive.adaptive_patching:
        return
    try:
        forest = _forest(run)
    except UserError as error:
        yield pair(run, "adaptive.min_leaf", "input.tile_size", str(error))
        return
    if forest.num_roots > length:
        yield pair(run, "input.tile_size", "adaptive.fixed_length", _too_many_roots(forest, length))
    elif adaptive.split_rule == "length" and forest.reachable(length) != length:
        yield Problem(("adaptive", "fixed_length"), _other_lengths(forest, length), length)


def _forest(run: Run) -> Forest:
    """Returns the trees of a tile. Raises UserError if the tile has none."""
    return Forest(run.spatial_tile, smallest_leaf(run.adaptive.min_leaf, run.patch))


def _too_many_roots(forest: Forest, length: int) -> str:
    """Returns a message that suggests a tile and a smallest leaf with fewer roots."""
    space, step = forest.space, forest.leaf
    tile = space
    while Forest(tile, forest.leaf).num_roots > length:
        step = tuple(2 * side for side in step)
        tile = tuple(part * max(1, round(side / part)) for side, part in zip(space, step, strict=True))
    return (
        f"the tile {list(space)} has {forest.num_roots} roots of side {compact(forest.root)} "
        f"(min_leaf {compact(forest.leaf)}, doubled as often as all sides allow), more than fixed_length "
        f"{length}; take the tile {list(tile)}{_larger_leaf(forest, length)} or fixed_length "
        f"{forest.num_roots}"
    )


def _larger_leaf(forest: Forest, length: int) -> str:
    """Returns a smallest leaf of this shape with fewer roots, `, min_leaf 7`, or an empty text."""
    scale = gcd(*forest.leaf)
    shape = [side // scale for side in forest.leaf]
    scales = divisors(gcd(*(side // part for side, part in zip(forest.space, shape, strict=True))))
    leaves = {number: tuple(number * side for side in shape) for number in scales}
    fewer = [number for number, leaf in leaves.items() if Forest(forest.space, leaf).num_roots <= length]
    return f", min_leaf {compact(leaves[nearest_divisors(fewer, scale)])}" if fewer else ""


def _other_lengths(forest: Forest, length: int) -> str:
    more, below = forest.branches - 1, forest.reachable(length)
    roots = "1 root" if forest.num_roots == 1 else f"{forest.num_roots} roots of side {compact(forest.root)}"
    better = str(below) if below == forest.num_cells else f"{below} or {below + more}"
    return (
        f"expected {forest.num_roots} + {more}n tokens, up to {forest.num_cells}, since the tile "
        f"{list(forest.space)} has {roots} and a split makes {more} more; such as {better}"
    )


def detail(run: Run) -> Iterator[Problem]:
    """Checks that detail is known or a function in a file, fits the tile, and has odd blurs."""
    name, path = run.adaptive.detail, ("adaptive", "detail")
    file, _, function = name.rpartition(":")
    known = ["auto", *DETAILS]
    if name not in known and not (file.endswith(".py") and function.isidentifier()):
        message = f"expected one of {', '.join(known)}, or path/to/file.py:function{meant(name, DETAILS)}"
        yield Problem(path, message, name)
    if not run.adaptive.adaptive_patching:
        return
    if name == "canny" and len(run.spatial_tile) == 3:
        flat = run.name_of("input.twoD")
        message = f"finds edges in 2D tiles only; take gradient or variance, or set {flat}=true for slices"
        yield Problem(path, message, name)
    sides, most = run.adaptive.detail_smoothing or [3], max(3, min(run.spatial_tile))
    if max(sides) > most:
        message = f"a blur is no wider than the tile; expected at most {most}"
        yield Problem(("adaptive", "detail_smoothing"), message, sides)
    if any(side % 2 == 0 for side in sides):
        message = (
            f"a blur has a middle; expected odd numbers, such as {[side // 2 * 2 + 1 for side in sides]}"
        )
        yield Problem(("adaptive", "detail_smoothing"), message, sides)


def canny(run: Run) -> Iterator[Problem]:
    """Checks that ranges are in order, and that the low one ends before the high one begins."""
    low, high = run.adaptive.canny_low, run.adaptive.canny_high
    for name, levels in (("canny_low", low), ("canny_high", high)):
        if levels[0] > levels[-1]:
            yield Problem(("adaptive", name), f"expected the smaller first: {levels[::-1]}", levels)
    if max(low) > min(high):
        message = f"expected at most {min(high):g}, where {run.name_of('adaptive.canny_high')} begins"
        yield Problem(("adaptive", "canny_low"), message, low)


def placement(run: Run) -> Iterator[Problem]:
    """Checks that tokens can be placed on the grid of a decoder."""
    adaptive, name = run.adaptive, "token_placement"
    if not run.network_facts.grid_decoder or not adaptive.adaptive_patching:
        return
    if adaptive.token_placement == "boxes":
        yield from _cells(run)
        return
    cells = prod(side // patch for side, patch in zip(run.spatial_tile, run.patch, strict=True))
    if adaptive.separate_channels:
        message = "has one token for each cell, but separate_channels gives one for each channel; take boxes"
        yield Problem(("adaptive", name), message, adaptive.token_placement)
    elif adaptive.fixed_length != cells:
        message = (
            f"expected as many tokens as the tile has cells of patch_size, {cells}, for token_placement "
        )
        yield Problem(("adaptive", "fixed_length"), message + "square; or take boxes", adaptive.fixed_length)


def _cells(run: Run) -> Iterator[Problem]:
    """Checks that patch_size is the side of a leaf: then a leaf lies within a cell or covers whole cells."""
    try:
        sides = _forest(run).sides
    except UserError:
        return
    if run.patch not in sides:
        known = ", ".join(str(compact(leaf)) for leaf in reversed(sides))
        message = f"leaves can't be placed on cells of this side; expected one of their sides: {known}"
        yield Problem(("input", "patch_size"), message, run.input.patch_size)
