"""Training augmentation: flips and rotations as views, then MONAI transforms of the tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.registry import Registry
from ucf_vit.core.seeds import seed_of


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a tile, drawn from the tile's key only.

    `flips` are the spatial axes that are flipped with probability 1/2. `exchange` permutes axes of equal
    length at random: together with flips, all orientations of a square or cube. Both give views, and the
    loader copies anyway (MONAI's flips of a 64^3 tile with its label take 9 ms, reading it 1 ms). `transform`
    is a MONAI dictionary transform of the sample's arrays by name, `[C, *S]` each: "image", a "label" per
    voxel `[1, *S]`, and further arrays of the source; masks are float32 with values 0 and 1. It works on
    normalised values.
    """

    flips: tuple[int, ...] = ()
    exchange: bool = False
    transform: Any = None

    def turn(self, key: int, size: tuple[int, ...]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Returns a function that flips and permutes the spatial axes of arrays `[..., *S]`, all alike.

        `size` is the tile's `[*S]`.
        """
        rng = np.random.Generator(np.random.PCG64(seed_of(key, "turn")))
        flipped = tuple(axis - len(size) for axis in self.flips if rng.random() < 0.5)
        order = _exchanged(size, rng) if self.exchange else list(range(len(size)))

        def turned(array: NDArray[Any]) -> NDArray[Any]:
            first = array.ndim - len(size)
            return np.flip(array.transpose(*range(first), *(first + axis for axis in order)), flipped)

        return turned

    def finish(self, key: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Applies `transform` in place to the arrays `[..., *S]` of a normalised tile, by name."""
        if self.transform is None:
            return
        dims = arrays["image"].ndim - 1
        data = {
            name: _to_monai(array.reshape(-1, *array.shape[array.ndim - dims :]))
            for name, array in arrays.items()
            if array.ndim >= dims
        }
        self.transform.set_random_state(seed=seed_of(key, "transform") % 2**32)
        changed = self.transform(dict(data))
        for name, before in data.items():
            if changed[name] is not before:
                out, values = arrays[name], np.asarray(changed[name]).reshape(arrays[name].shape)
                np.copyto(out, values >= 0.5 if out.dtype == bool else values, casting="unsafe")


IMAGE_ONLY: Mapping[str, str] = MappingProxyType({"image": "bilinear"})
"""Interpolation mode of each array on the grid of the image, for a sample without other arrays."""
AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", "ucf_vit.augmentations")
"""Recipes by the name that the facts of a task use; each makes an Augmentation for tiles of a size `[*S]`."""


@AUGMENTATIONS.register("classification")
def classification(tile_size: tuple[int, ...], modes: Mapping[str, str] = IMAGE_ONLY) -> Augmentation:
    """Returns a random crop resized to the tile size, and horizontal flips."""
    return Augmentation(flips=(len(tile_size) - 1,), transform=_crop(tile_size, modes))


@AUGMENTATIONS.register("masked")
def masked(tile_size: tuple[int, ...], modes: Mapping[str, str] = IMAGE_ONLY) -> Augmentation:
    """Returns the recipe of classification for images, and flips along every axis for volumes.

    Tiles of volumes are crops already.
    """
    return classification(tile_size, modes) if len(tile_size) == 2 else Augmentation(flips=(0, 1, 2))


@AUGMENTATIONS.register("diffusion")
def diffusion(tile_size: tuple[int, ...], modes: Mapping[str, str] = IMAGE_ONLY) -> Augmentation:
    """Returns flips only: the network would learn to generate any other change."""
    return Augmentation(flips=(1,) if len(tile_size) == 2 else (0, 1, 2))


@AUGMENTATIONS.register("segmentation")
def segmentation(tile_size: tuple[int, ...], modes: Mapping[str, str] = IMAGE_ONLY) -> Augmentation:
    """Returns all orientations of the tile, small changes of intensity, and noise with probability 0.1."""
    from monai.transforms import Compose, RandGaussianNoised, RandScaleIntensityd, RandShiftIntensityd

    steps = [
        RandScaleIntensityd("image", factors=0.1, prob=0.5),
        RandShiftIntensityd("image", offsets=0.1, prob=0.5),
        RandGaussianNoised("image", std=0.02, prob=0.1),
    ]
    return Augmentation(flips=tuple(range(len(tile_size))), exchange=True, transform=Compose(steps))


def _exchanged(size: tuple[int, ...], rng: np.random.Generator) -> list[int]:
    """Returns the axes with those of equal length in a random order."""
    order = list(range(len(size)))
    for length in dict.fromkeys(size):
        axes = [axis for axis, n in enumerate(size) if n == length]
        for place, axis in zip(axes, rng.permutation(axes).tolist(), strict=True):
            order[place] = axis
    return order


def _crop(tile_size: tuple[int, ...], modes: Mapping[str, str]) -> Any:
    from monai.transforms import Compose, RandScaleCropd, Resized

    names = tuple(modes)
    crop = RandScaleCropd(names, roi_scale=0.5, max_roi_scale=1.0, random_size=True)
    return Compose([crop, Resized(names, tile_size, mode=tuple(modes.values()), anti_aliasing=False)])


def _to_monai(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == bool else array
