"""Post-processing of class maps: components that are too small removed, holes filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassOptions:
    """Operations on the voxels of a class, in this order.

    `largest_component` keeps the largest component. `min_volume` removes components of less, in mm^3 (mm^2 of
    an image; pixels where no spacing is known). `fill_holes` fills background that the class encloses.
    Components touch at corners, too; holes are enclosed by faces.
    """

    largest_component: bool = False
    min_volume: float = 0.0
    fill_holes: bool = False

    def __str__(self) -> str:
        """Returns a text such as `largest component, holes filled`."""
        parts = {
            "largest component": self.largest_component,
            f"at least {self.min_volume:g} mm^3": self.min_volume > 0,
            "holes filled": self.fill_holes,
        }
        return ", ".join(text for text, used in parts.items() if used) or "nothing"

    def apply(self, mask: Mask, voxel: float) -> Mask:
        """Returns the mask `[*S]` after the operations; `voxel` is the volume of a voxel."""
        if self.largest_component or self.min_volume > 0:
            mask = Components(mask).kept(self, voxel)
        return ndimage.binary_fill_holes(mask) if self.fill_holes else mask


class Components:
    """Connected components of a mask `[*S]`, counted once for all options."""

    def __init__(self, mask: Mask) -> None:
        self._numbers, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
        self._sizes = np.bincount(self._numbers.ravel())
        self._sizes[0] = 0

    def kept(self, options: ClassOptions, voxel: float) -> Mask:
        """Returns the voxels of the components that `options` keep."""
        keep = self._sizes * voxel >= options.min_volume
        if options.largest_component:
            keep &= np.arange(len(keep)) == self._sizes.argmax()
        keep[0] = False
        return np.asarray(keep[self._numbers])


@dataclass(frozen=True)
class Postprocessing:
    """Operations by class number; other classes stay as they are.

    Voxels that are removed become background (class 0), and only background is filled, so that the result for
    a class depends on no other one.
    """

    classes: Mapping[int, ClassOptions] = field(default_factory=dict)

    def apply(self, labels: NDArray[Any], voxel: float) -> NDArray[Any]:
        """Returns labels `[*S]` in the same type; `voxel` is the volume of a voxel in mm^3."""
        changed = labels.copy()
        boxes = ndimage.find_objects(labels)
        for number, options in self.classes.items():
            box = boxes[number - 1] if number <= len(boxes) else None
            if box is None:
                continue
            part = labels[box]
            mask = part == number
            kept = options.apply(mask, voxel)
            changed[box][mask & ~kept] = 0
            changed[box][kept & (part == 0)] = number
        return changed

    def dump(self) -> dict[str, dict[str, Any]]:
        """Returns the options as JSON."""
        return {str(number): asdict(options) for number, options in self.classes.items()}

    @classmethod
    def load(cls, values: Mapping[str, Mapping[str, Any]]) -> Postprocessing:
        """Returns the options that `dump` described. Raises TypeError or ValueError for others."""
        return cls({int(number): ClassOptions(**options) for number, options in values.items()})
