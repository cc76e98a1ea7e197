"""Adaptive patching, the whole way from image to tokens, beside the plain loop.

    python benchmarks/adaptive.py [--quick] [--rounds N]   milliseconds of both, and their ratio (2 minutes)
    python benchmarks/adaptive.py --scaling [--quick]      cost per pixel up to 16384^2 (7.5 GiB, 3 minutes)

The plain loop takes the same map of detail, searches all leaves for the one with most detail for every
split, and brings every leaf to the size of a token by a call of its own: OpenCV's resize in 2D, SciPy's
interpolator in 3D. Both take turns on one thread; time is of the CPU. That both give the same leaves and
tokens is checked.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.patching.tree.patcher import AdaptivePatcher
from ucf_vit.patching.tree.patches import Patches

Array = NDArray[Any]
Leaf = tuple[tuple[float, ...], tuple[int, ...], int]
"""Place in the search (detail first), first pixel, side."""


@dataclass(frozen=True)
class Case:
    """Images of `side` pixels a side, RGB in 2D and of one channel in 3D, to `length` tokens each."""

    dims: int
    side: int
    length: int
    batch: int = 1
    rounds: int = 15

    @property
    def name(self) -> str:
        """How a line of the table begins."""
        sides = f"{self.side}^2 x 3" if self.dims == 2 else f"{self.side}^3"
        return f"{sides}, {self.length} tokens, batch {self.batch}"

    def images(self) -> Tensor:
        """Images `[B, C, *S]`."""
        make = picture if self.dims == 2 else volume
        return torch.stack([make(self.side, seed) for seed in range(self.batch)])

    def patcher(self, detail: str = "auto") -> AdaptivePatcher:
        """Tokens of 16 pixels a side in 2D, 8 in 3D."""
        return AdaptivePatcher(
            tile_size=(self.side,) * self.dims,
            patch_size=16 if self.dims == 2 else 8,
            fixed_length=self.length,
            detail=detail,
        )


QUICK = (Case(2, 64, 64, rounds=2), Case(3, 16, 36, rounds=2))
FULL = (
    Case(2, 256, 196),
    Case(2, 256, 196, batch=16),
    Case(2, 1024, 4096),
    Case(2, 2048, 16384, rounds=4),
    Case(3, 64, 512),
    Case(3, 64, 512, batch=4, rounds=7),
    Case(3, 128, 4096, rounds=7),
)
SCALES = (512, 1024, 2048, 4096, 8192, 16384)


def picture(side: int, seed: int) -> Tensor:
    """Ellipses on a background, and noise that grows to the right: `[3, side, side]` in [0, 1].

    A larger picture is a larger part of the same scene: ellipses are of 3 to 83 pixels, one per 5,000 pixels.
    """
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 90, np.uint8)
    for _ in range(side**2 // 5000):
        center, colour = rng.integers(side, size=2).tolist(), rng.integers(256, size=3).tolist()
        radii = (3 + 80 * rng.random(2) ** 2).astype(int).tolist()
        cv2.ellipse(image, center, radii, rng.uniform(0, 360), 0, 360, colour, -1, cv2.LINE_AA)
    out = torch.empty(3, side, side)
    for first in range(0, side, 256):
        rows = image[first : first + 256].transpose(2, 0, 1)
        noise = rng.normal(scale=np.linspace(2, 6, side), size=rows.shape)
        out[:, first : first + 256] = torch.from_numpy((rows + noise).clip(0, 255).round() / 255)
    return out


def volume(side: int, seed: int) -> Tensor:
    """Balls of all sizes and noise: `[1, side, side, side]`."""
    rng = np.random.default_rng(seed)
    grid = np.indices((side,) * 3).reshape(3, -1) / side
    image = np.zeros(side**3)
    for _ in range(30):
        center, radius = rng.random((3, 1)), 0.02 + 0.2 * rng.random() ** 2
        image[((grid - center) ** 2).sum(0) < radius**2] = rng.uniform(-1, 1)
    image += rng.normal(scale=0.02, size=side**3)
    return torch.from_numpy(image.astype(np.float32).reshape(1, side, side, side))


def plain_loop(image: Tensor, patcher: AdaptivePatcher) -> list[tuple[list[Leaf], Array]]:
    """Leaves and tokens `[L, C, *P]` of each image of `[B, C, *S]`."""
    details = patcher.detail(image, None, False)[:, 0].numpy()
    tokens_of = resized if image.ndim == 4 else interpolated
    results = []
    for sample, detail in zip(image.numpy(), details, strict=True):
        leaves = greedy_leaves(detail, patcher.forest, patcher.length)
        results.append((leaves, tokens_of(sample, leaves, patcher.patch_size[0])))
    return results


def greedy_leaves(detail: Array, forest: Forest, length: int) -> list[Leaf]:
    """Split the leaf with most detail, of several the largest and of these the first, up to `length`.

    Along each axis the first is that nearest to the end where more of the smallest nodes hold detail.
    """
    root, smallest = forest.root[0], forest.leaf[0]
    signs = [1 if end else -1 for end in last_ends(detail, 2 * smallest)]

    def leaf(start: tuple[int, ...], side: int) -> Leaf:
        total = detail[region(start, side)].sum() if side > smallest else -1
        return (float(total), side, *(s * f for s, f in zip(signs, start, strict=True))), start, side

    starts = product(*(range(0, side, root) for side in forest.space))
    leaves = [leaf(start, root) for start in starts]
    while len(leaves) + forest.branches - 1 <= length:
        best = max(leaves, key=lambda leaf: leaf[0])
        leaves.remove(best)
        _, start, side = best
        corners = product(*((first, first + side // 2) for first in start))
        leaves += [leaf(corner, side // 2) for corner in corners]
    return leaves


def last_ends(detail: Array, side: int) -> list[bool]:
    """For each axis, whether more blocks of `side` hold detail at its end."""
    blocks = [part for extent in detail.shape for part in (extent // side, side)]
    held = detail.reshape(blocks).any(axis=tuple(range(1, len(blocks), 2)))
    axes = range(held.ndim)
    counts = [held.sum(axis=tuple(other for other in axes if other != axis)).tolist() for axis in axes]
    return [one < one[::-1] for one in counts]


def region(start: tuple[int, ...], side: int) -> tuple[slice, ...]:
    return tuple(slice(first, first + side) for first in start)


def resized(image: Array, leaves: list[Leaf], patch: int) -> Array:
    """One call of OpenCV per leaf, on channels last as OpenCV wants them: area down, linear up."""
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
    tokens = np.empty((len(leaves), patch, patch, len(image)), np.float32)
    for token, (_, start, side) in zip(tokens, leaves, strict=True):
        how = cv2.INTER_AREA if side > patch else cv2.INTER_LINEAR
        cv2.resize(pixels[region(start, side)], (patch, patch), dst=token, interpolation=how)
    return tokens.transpose(0, 3, 1, 2)


def interpolated(image: Array, leaves: list[Leaf], patch: int) -> Array:
    """One interpolator of SciPy per leaf, which takes single points of it; volumes of one channel."""
    tokens = np.empty((len(leaves), 1, patch, patch, patch), np.float32)
    for token, (_, start, side) in zip(tokens, leaves, strict=True):
        points = ((np.arange(patch) + 0.5) * side / patch - 0.5).clip(0, side - 1)
        block = RegularGridInterpolator([np.arange(side)] * 3, image[0][region(start, side)])
        token[0] = block(tuple(np.meshgrid(points, points, points, indexing="ij")))
    return tokens


def check(patches: Patches, theirs: list[tuple[list[Leaf], Array]], patch: int) -> None:
    """Refuse other leaves, and other tokens where both resize alike: in 2D, or no more than halved."""
    for row, (leaves, tokens) in enumerate(theirs):
        starts, sizes = patches.leaves.start[row].tolist(), patches.sides[row, :, 0].tolist()
        numbers = {(tuple(s), n): i for i, (s, n) in enumerate(zip(starts, sizes, strict=True)) if n}
        if numbers.keys() != {leaf[1:] for leaf in leaves}:
            raise SystemExit("the leaves differ")
        alike = [n for n, leaf in enumerate(leaves) if tokens.ndim == 4 or leaf[2] <= 2 * patch]
        ours = patches.values[row, [numbers[leaves[n][1:]] for n in alike]]
        torch.testing.assert_close(ours, torch.from_numpy(tokens[alike]), atol=1e-4, rtol=0)


def seconds(call: Callable[[], object], at_least: float = 0.1) -> float:
    """CPU time of one call, the mean of as many as `at_least` takes."""
    start, calls, passed = time.process_time(), 0, 0.0
    while passed < at_least:
        call()
        calls += 1
        passed = time.process_time() - start
    return passed / calls


def compare(case: Case, rounds: int | None) -> str:
    """A line of the table: medians over rounds of both sides' milliseconds per image, and of the ratio."""
    image, patcher = case.images(), case.patcher()
    check(patcher(image), plain_loop(image, patcher), patcher.patch_size[0])
    pairs = []
    for turn in range(rounds or case.rounds):
        sides = [lambda: patcher(image), lambda: plain_loop(image, patcher)]
        times = [seconds(side) for side in sides[:: -1 if turn % 2 else 1]]
        pairs.append(times[:: -1 if turn % 2 else 1])
    ours, plain = (1e3 * statistics.median(side) / case.batch for side in zip(*pairs, strict=True))
    ratio = statistics.median(plain / ours for ours, plain in pairs)
    return f"{case.name:34} {ours:9.2f} {plain:9.1f} {ratio:6.1f}"


def scale(side: int) -> str:
    """A line of the table: the least of several rounds. In a process of its own, for its peak of memory."""
    settle()
    warm = QUICK[0]
    warm.patcher()(warm.images())
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = side**2
    case = Case(2, side, pixels // 256)
    image, patcher = picture(side, 0)[None], case.patcher()
    rows = []
    for _ in range(max(5, min(20, 2**25 // pixels))):
        stamps = [time.process_time()]
        detail = patcher.detail(image, None, False)
        stamps.append(time.process_time())
        leaves = grow_trees(detail[:, 0], patcher.forest, patcher.length)
        stamps.append(time.process_time())
        tokens = patcher.cut(image, leaves)
        stamps.append(time.process_time())
        rows.append([stamps[-1] - stamps[0], *(b - a for a, b in pairwise(stamps))])
        del detail, leaves, tokens
    whole, *steps = (min(column) for column in zip(*rows, strict=True))
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)
    figures = "".join(f"{1e9 * step / pixels:10.1f}" for step in (whole, *steps))
    return f"{side:>5}^2 {case.length:>8}{whole:9.4f}{figures}{peak / 2**30:9.2f}{peak / pixels:9.0f}"


def settle() -> None:
    """One thread, and freed memory kept for reuse as in a process that has run for a while.

    From the first release of so large a block on, glibc no longer gives back what is smaller.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.ones(31 * 2**20, dtype=torch.uint8)


def main(quick: bool = False, rounds: int | None = None, scaling: bool = False) -> None:
    """Print one line per case."""
    if scaling:
        steps = "".join(f"{name:>10}" for name in ("ns/pixel", "detail", "tree", "tokens"))
        print(f"{'image':>7} {'tokens':>8}{'seconds':>9}{steps}{'GiB':>9}{'B/pixel':>9}")
        for side in (128, 256) if quick else SCALES:
            with multiprocessing.get_context("spawn").Pool(1) as process:
                print(process.apply(scale, (side,)), flush=True)
    else:
        settle()
        print(f"{'':34} {'ours ms':>9} {'plain ms':>9} {'ratio':>6}")
        for case in QUICK if quick else FULL:
            print(compare(case, rounds), flush=True)


if __name__ == "__main__":
    typer.run(main)
