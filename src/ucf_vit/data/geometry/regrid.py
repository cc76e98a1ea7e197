"""Change of an item's grid: its axes turned, a box cut out, and resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import SAME, GridOptions

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Regrid:
    """How an item stored on the grid `stored` is used: axes turned, then `box` cut out, then resampled.

    Axis k of the used array is the stored axis `axes[k]`, reversed where `flips[k]`. `box` is (start, stop)
    along the turned axes, `shape` `[*T]` that of the used array, and `steps` its spacing in voxels of the
    box. The middle of the box stays where it is: voxel j of the used array lies at `offsets + steps * j`.
    """

    stored: Geometry
    axes: tuple[int, ...]
    flips: tuple[bool, ...]
    box: Box
    shape: tuple[int, ...]
    steps: tuple[float, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """Shape of the box."""
        return tuple(stop - start for start, stop in self.box)

    @property
    def offsets(self) -> tuple[float, ...]:
        """Position of the first voxel of the used array, in voxels of the box."""
        sizes = zip(self.sides, self.shape, self.steps, strict=True)
        return tuple((side - 1) / 2 - (size - 1) / 2 * step for side, size, step in sizes)

    @property
    def resamples(self) -> bool:
        """Whether values are interpolated; else the used array is a view of the stored one."""
        return any(step != 1 for step in self.steps)

    @property
    def geometry(self) -> Geometry:
        """The grid of the used array."""
        dims = len(self.shape)
        start = [first + offset for (first, _), offset in zip(self.box, self.offsets, strict=True)]
        to_box = np.eye(4)
        to_box[range(dims), range(dims)] = self.steps
        to_box[:dims, 3] = start
        return Geometry(self.shape, _turned(self.stored, self.axes, self.flips) @ to_box)

    def stored_region(self, region: Sequence[slice]) -> tuple[slice, ...]:
        """Returns the part of the stored array that `region` of the turned and cropped one is."""
        stored = [slice(None)] * len(region)
        for axis, flip, (first, last), part in zip(self.axes, self.flips, self.box, region, strict=True):
            start, stop, _ = part.indices(last - first)
            start, stop, size = start + first, max(start, stop) + first, self.stored.shape[axis]
            stored[axis] = slice(size - stop, size - start) if flip else slice(start, stop)
        return tuple(stored)

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """Returns a view `[..., *S]` with its last axes turned."""
        ahead = array.ndim - len(self.axes)
        turned = array.transpose(*range(ahead), *(ahead + axis for axis in self.axes))
        return turned[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]

    def turn_back(self, array: NDArray[Any]) -> NDArray[Any]:
        """Returns a view with the order and directions of axes as stored."""
        ahead = array.ndim - len(self.axes)
        array = array[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]
        return array.transpose(*range(ahead), *(ahead + int(axis) for axis in np.argsort(self.axes)))

    def dump(self) -> dict[str, Any]:
        """Returns the change as JSON, from which `load` makes it again to the last bit."""
        return {
            "stored": {"shape": list(self.stored.shape), "affine": self.stored.affine.tolist()},
            "box": [list(part) for part in self.box],
            **{name: list(getattr(self, name)) for name in ("axes", "flips", "shape", "steps")},
        }

    @classmethod
    def load(cls, entry: Mapping[str, Any]) -> Regrid:
        """Returns the change that `dump` described."""
        stored = Geometry(tuple(entry["stored"]["shape"]), np.array(entry["stored"]["affine"], np.float64))
        box = tuple((int(start), int(stop)) for start, stop in entry["box"])
        rest = {name: tuple(entry[name]) for name in ("axes", "flips", "shape", "steps")}
        return cls(stored=stored, box=box, **rest)


def regrid(stored: Geometry, options: GridOptions, box: Box | None = None) -> Regrid:
    """Returns the change of the grid of one item; `box` (start, stop along the stored axes) is cut out.

    Raises DataError where `options` does not fit the number of axes.
    """
    dims = len(stored.shape)
    axes, flips = tuple(range(dims)), (False,) * dims
    if options.orientation == "RAS":
        if dims != 3:
            raise DataError(
                f"orientation RAS needs volumes, found {dims} axes; set data.orientation: as_stored"
            )
        axes, flips = _to_ras(stored.affine)
    box = box or tuple((0, size) for size in stored.shape)
    turned = [
        (stored.shape[axis] - box[axis][1], stored.shape[axis] - box[axis][0]) if flip else box[axis]
        for axis, flip in zip(axes, flips, strict=True)
    ]
    sides = [stop - start for start, stop in turned]
    spacing = [stored.spacing[axis] for axis in axes]
    wanted = spacing if options.spacing is None else options.spacing
    if len(wanted) != dims:
        raise DataError(f"data.spacing {list(wanted)} has {len(wanted)} entries, the data has {dims} axes")
    sizes = [_size(*one) for one in zip(sides, spacing, wanted, strict=True)]
    return Regrid(
        stored, axes, flips, tuple(turned), tuple(size for size, _ in sizes), tuple(step for _, step in sizes)
    )


def _size(side: int, spacing: float, wanted: float) -> tuple[int, float]:
    """Returns number and distance of the new voxels that cover `side` old ones, up to half a new one."""
    step = wanted / spacing
    if abs(step - 1) <= SAME:
        return side, 1.0
    return max(1, int(np.floor(side / step + 0.5))), step


def _to_ras(affine: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Returns the stored axis of each axis of RAS, and whether it is reversed."""
    turned = io_orientation(affine)
    axes = np.argsort(turned[:, 0])
    return tuple(int(axis) for axis in axes), tuple(bool(turned[axis, 1] < 0) for axis in axes)


def _turned(stored: Geometry, axes: Sequence[int], flips: Sequence[bool]) -> NDArray[np.float64]:
    """Returns the affine of the turned array."""
    dims = len(axes)
    orientation = np.array([[n, 1.0] for n in range(3)])
    for axis, (origin, flip) in enumerate(zip(axes, flips, strict=True)):
        orientation[origin] = axis, -1.0 if flip else 1.0
    shape = (*stored.shape, 1)[:3] if dims < 3 else stored.shape
    return np.asarray(stored.affine @ inv_ornt_aff(orientation, shape), np.float64)
