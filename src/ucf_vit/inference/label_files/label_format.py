"""Base class of the formats of segmentations."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.drawing.style import class_colour
from ucf_vit.inference.inputs import Case


class LabelClass(NamedTuple):
    """Name and RGB colour in [0, 1] of a class; its number is its place among all classes."""

    name: str
    colour: tuple[float, float, float]


def label_classes(names: Sequence[str]) -> list[LabelClass]:
    """Returns the classes with these names, in their fixed colours."""
    return [LabelClass(name, class_colour(number)) for number, name in enumerate(names)]


class LabelFormat(ABC):
    """Writes class numbers `[*S]` on the grid on which an item is stored.

    `dims` are the numbers of spatial axes that it takes, `package` the module that it needs, in `extra`.
    """

    name: str
    dims: tuple[int, ...]
    package: str = ""
    extra: str = ""

    def check(self, case: Case) -> None:
        """Raises UserError where an item can't be written in this format."""
        if case.source.spatial_dims not in self.dims:
            kind = "pictures" if case.source.spatial_dims == 2 else "volumes"
            raise UserError(f"{case.item.image}: --format {self.name} takes no {kind}; choose another one")
        if self.package and not importlib.util.find_spec(self.package):
            raise UserError(
                f"{case.item.image}: labels as {self.name} need {self.package}; install it with: "
                f"pip install 'ucf-vit[{self.extra}]', or choose another format, such as --format "
                f"{'nifti' if case.source.spatial_dims == 3 else 'png'}"
            )

    @abstractmethod
    def suffix(self, case: Case) -> str:
        """Returns the suffix of the file of an item."""

    @abstractmethod
    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes labels `[*S]` uint8 or int16; a reader never sees a part of the file. Raises DataError."""


def geometry_of(case: Case) -> Geometry:
    """Returns the grid on which an item is stored; voxels of 1 mm where its source knows none."""
    grid = case.grid
    geometry = case.source.geometry(case.item) if grid is None else grid.stored
    return Geometry(tuple(case.source.shape(case.item)[1:]), np.eye(4)) if geometry is None else geometry
