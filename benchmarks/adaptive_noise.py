"""Adaptive patches of a noisy sheet like those of electron microscopes, beside uniform ones.

    python benchmarks/adaptive_noise.py [--quick]      5120 x 4096, two minutes

Membranes, mitochondria and vesicles in fine and coarse tissue around empty resin, with the noise of few
electrons (Poisson) and of the detector (Gaussian), as it comes or shared by neighbours as after alignment.
Trees grow on the noisy sheet by default options. PSNR is that of the sheet without noise as the tokens would
hold it: by how much it is above that of as many uniform patches. "no noise": by trees of the clean sheet.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from ucf_vit.patching.adaptive import AdaptivePatcher, paste

Array = NDArray[Any]

NOISES = {"400 electrons": (400, 0.0), "100": (100, 0.0), "30": (30, 0.0), "30, shared": (30, 0.8)}
"""Electrons per pixel where the sheet is brightest, and the deviation of the blur that shares their noise."""
DETAILS = ("canny", "gradient", "variance")


def field(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> Array:
    """Smooth random values with bumps of about `scale` pixels."""
    small = rng.standard_normal([side // scale + 5 for side in shape]).astype(np.float32)
    large = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large[scale : scale + shape[0], scale : scale + shape[1]]


def tissue(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> Array:
    """Cells of about `scale` pixels, each of its own grey, with dark membranes between them."""
    fields = np.stack([field(rng, shape, scale) for _ in range(6)])
    greys = rng.uniform(153, 177, 6).astype(np.float32)[fields.argmax(0)]
    second, first = np.partition(fields, 4, axis=0)[4:]
    gap = first - second
    steep = np.hypot(*(cv2.Sobel(gap, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (0, 1)))
    membrane = np.clip(4 - gap / np.maximum(steep, 0.3 / scale), 0, 1)
    return greys - 70 * membrane


def sheet(shape: tuple[int, int], seed: int = 0) -> Array:
    """A sheet without noise, float32 in 0 to 255."""
    rng = np.random.default_rng(seed)
    coarse = field(rng, shape, max(shape) // 4) > 0.3
    image = np.where(coarse, tissue(rng, shape, 240), tissue(rng, shape, 56)).astype(np.float32)
    for _ in range(math.prod(shape) // 60_000):
        mitochondrion(rng, image)
    for _ in range(math.prod(shape) // 110_000):
        around = rng.integers(shape, size=2)
        for _ in range(20):
            y, x = (around + rng.normal(0, 22, 2)).astype(int).tolist()
            cv2.circle(image, (x, y), int(rng.integers(4, 7)), float(rng.uniform(100, 125)), 2)
    image[field(rng, shape, max(shape) // 3) > 0.8] = 205
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def mitochondrion(rng: np.random.Generator, image: Array) -> None:
    """Draw an ellipse with a dark rim and folds."""
    y, x = rng.integers(image.shape).tolist()
    long, short, angle = int(rng.integers(20, 60)), int(rng.integers(12, 26)), float(rng.uniform(0, 180))
    cv2.ellipse(image, (x, y), (long, short), angle, 0, 360, 118.0, -1)
    cv2.ellipse(image, (x, y), (long, short), angle, 0, 360, 80.0, 3)
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = 0.8 * short * np.array([-along[1], along[0]])
    for place in np.linspace(-0.7, 0.7, 5):
        ends = ((x, y) + place * long * along + sign * across for sign in (1, -1))
        start, end = (tuple(point.astype(int).tolist()) for point in ends)
        cv2.line(image, start, end, 95.0, 2)


def noisy(image: Array, electrons: float, shared: float, seed: int = 0) -> Array:
    """Returns `image` as a detector records it (uint8)."""
    rng, gain = np.random.default_rng(seed), 200 / electrons
    counted = rng.poisson(image.clip(1) / gain) * gain + rng.normal(0, 4, image.shape)
    counted = cv2.GaussianBlur(counted, (0, 0), shared) if shared else counted
    return counted.clip(0, 255).round().astype(np.uint8)


def held(patcher: AdaptivePatcher, seen: Tensor, clean: Tensor) -> tuple[float, dict[int, int]]:
    """PSNR in dB of `clean` as tokens along the trees of `seen` hold it, both `[1, H, W]`; leaves by side."""
    leaves = patcher.grow(seen[None])
    back = paste(patcher.cut(clean[None], leaves).values, leaves)[0]
    sides, counts = leaves.sides[..., 0].unique(return_counts=True)
    error = float((back - clean).square().mean())
    return 10 * math.log10(255**2 / error), dict(zip(sides.tolist(), counts.tolist(), strict=True))


def main(quick: bool = False) -> None:
    """Print one line per noise and detail."""
    torch.set_num_threads(1)
    shape = (512, 640) if quick else (4096, 5120)
    clean = torch.from_numpy(sheet(shape))[None]
    options: dict[str, Any] = {"tile_size": shape, "patch_size": 16, "fixed_length": math.prod(shape) // 1024}
    even, _ = held(AdaptivePatcher(**options), torch.zeros_like(clean), clean)
    print(f"uniform patches of 32: {even:.2f} dB")
    print(f"{'noise':14} {'detail':9} {'gain, dB':>9} {'no noise':>9}  leaves by side")
    for name, (electrons, shared) in NOISES.items():
        seen = torch.from_numpy(noisy(clean[0].numpy(), electrons, shared))[None]
        for detail in DETAILS:
            patcher = AdaptivePatcher(detail=detail, **options)
            gain, sizes = held(patcher, seen, clean)
            best, _ = held(patcher, clean.round().byte(), clean)
            leaves = ", ".join(f"{side}: {count:,}" for side, count in sizes.items())
            print(f"{name:14} {detail:9} {gain - even:9.2f} {best - even:9.2f}  {leaves}", flush=True)


if __name__ == "__main__":
    typer.run(main)
