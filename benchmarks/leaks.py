"""Altered copies: the share that is found by kind of change, and false alarms among distinct images.

    python benchmarks/leaks.py --number 1000 --side 48 real1.nii.gz real2.nii.gz ...

Synthetic volumes are of three kinds in turn: concrete, smooth noise, and volumes with one anatomy in common
that have details of their own. Real volumes (NIfTI, or images) are compared with all others, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ucf_vit.data.leaks.signature import Look, Signatures, look
from ucf_vit.synthetic.volume import make_volume

Image = NDArray[Any]
Change = Callable[[Image, np.random.Generator], Image]


def synthetic(number: int, side: int) -> Image:
    """Returns synthetic volume `number`, `[1, X, Y, Z]`."""
    size, rng = (side, side, side - side // 6), np.random.default_rng(number)
    if number % 3 == 0:
        return make_volume(size, number)[0][None]
    own = _smooth(rng, size, 2.0 if number % 3 == 1 else side / 24)
    if number % 3 == 1:
        return own[None]
    shared = _smooth(np.random.default_rng(2**32), size, side / 12)
    volume = shared + 0.6 * own + 0.1 * rng.standard_normal(size)
    return (1000 * np.where(shared < 0, 0, volume)).astype(np.int16)[None]


def _smooth(rng: np.random.Generator, size: tuple[int, ...], sigma: float) -> NDArray[np.float32]:
    noise = ndimage.gaussian_filter(rng.standard_normal(size), sigma)
    return (noise / noise.std()).astype(np.float32)


def load(path: Path) -> Image:
    """Returns a volume or an image, channels first."""
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        return np.asanyarray(nibabel.load(path).dataobj).astype(np.float32)[None]
    from PIL import Image as Pillow

    return np.moveaxis(np.asarray(Pillow.open(path).convert("RGB")), -1, 0)


def flipped(image: Image, rng: np.random.Generator) -> Image:
    axes = [axis for axis in range(1, image.ndim) if rng.random() < 0.5] or [1]
    return np.flip(image, tuple(axes))


def affine(image: Image, rng: np.random.Generator) -> Image:
    return image.astype(np.float32) * np.float32(rng.uniform(0.1, 10)) + np.float32(rng.uniform(-100, 100))


def gamma(image: Image, rng: np.random.Generator) -> Image:
    low, high = float(image.min()), float(image.max())
    return (((image - low) / (high - low)) ** rng.uniform(0.5, 2)).astype(np.float32)


def windowed(image: Image, rng: np.random.Generator) -> Image:
    low, high = np.percentile(image, [rng.uniform(1, 15), rng.uniform(90, 99.5)])
    return np.clip((image - low) / max(high - low, 1e-9), 0, 1).astype(np.float32)


def windowed_to_8_bits(image: Image, rng: np.random.Generator) -> Image:
    return (255 * windowed(image, rng)).round().astype(np.uint8)


def resampled(image: Image, rng: np.random.Generator) -> Image:
    factor, order = rng.uniform(0.8, 1.2), int(rng.choice([1, 3]))
    return np.stack([ndimage.zoom(channel.astype(np.float32), factor, order=order) for channel in image])


def resampled_by_axis(image: Image, rng: np.random.Generator) -> Image:
    factors = rng.uniform(0.8, 1.2, image.ndim - 1)
    return np.stack([ndimage.zoom(channel.astype(np.float32), factors, order=3) for channel in image])


def cropped(image: Image, rng: np.random.Generator) -> Image:
    """A part of 70 % of each side, anywhere."""
    kept = [int(np.ceil(0.7 * side)) for side in image.shape[1:]]
    starts = [rng.integers(0, side - part + 1) for side, part in zip(image.shape[1:], kept, strict=True)]
    return image[(slice(None), *(slice(s, s + part) for s, part in zip(starts, kept, strict=True)))]


def both(first: Change, second: Change) -> Change:
    return lambda image, rng: second(first(image, rng), rng)


CHANGES: dict[str, Change] = {
    "none": lambda image, rng: image,
    "flipped": flipped,
    "scaled and shifted": affine,
    "gamma 0.5 to 2": gamma,
    "window": windowed,
    "window, 8 bits": windowed_to_8_bits,
    "resampled +-20 %": resampled,
    "resampled by axis": resampled_by_axis,
    "cropped to 70 %": cropped,
    "cropped, flipped": both(cropped, flipped),
    "flipped, resampled, window": both(both(flipped, resampled), windowed),
    "cropped, window": both(cropped, windowed),
    "cropped, resampled": both(cropped, resampled),
}


def alarms(looks: list[Look], names: list[str]) -> list[str]:
    """Returns the pairs of distinct images that are taken for copies."""
    known = Signatures(np.stack([one.signature for one in looks]))
    found = []
    for number, one in enumerate(looks):
        others = np.flatnonzero(known.near(one))
        found += [f"{names[number]} = {names[other]}" for other in others if other != number]
    return found


def measure(images: list[Image], names: list[str], every: int) -> None:
    started = time.perf_counter()
    looks = [look(image) for image in images]
    seconds = (time.perf_counter() - started) / len(images)
    voxels = np.mean([image[0].size for image in images])
    size = looks[0].signature.nbytes
    print(f"{len(images)} images of {voxels:.3g} voxels: {seconds:.3f} s each, {size} bytes")
    found = alarms(looks, names)
    print(f"  false alarms: {len(found)} of {len(images) * (len(images) - 1)} pairs {found[:6]}")
    for name, change in CHANGES.items():
        rng, hits = np.random.default_rng(0), []
        for number in range(0, len(images), every):
            known = Signatures(looks[number].signature[None])
            hits.append(bool(known.near(look(change(images[number], rng)))[0]))
        print(f"  {name:28} {np.mean(hits):7.1%} of {len(hits)} found", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=1000, help="synthetic volumes")
    parser.add_argument("--side", type=int, default=48, help="their longest side")
    parser.add_argument("--every", type=int, default=10, help="every so many of them are altered")
    parser.add_argument("real", nargs="*", type=Path)
    options = parser.parse_args()
    if options.real:
        measure([load(path) for path in options.real], [path.name for path in options.real], 1)
    if options.number:
        images = [synthetic(number, options.side) for number in range(options.number)]
        measure(images, [str(number) for number in range(options.number)], options.every)


if __name__ == "__main__":
    main()
