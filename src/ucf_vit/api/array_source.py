"""A single array in memory as a data source."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.batch import Sample
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources import Item, Source

NAME = "array"


class ArraySource(Source):
    """One image `[C, *S]` of the channels `variables`; `affine` `[4, 4]` places its voxels, in mm."""

    def __init__(
        self, image: NDArray[Any], variables: Sequence[str], affine: NDArray[np.float64] | None = None
    ) -> None:
        self.image = image
        self.variables = tuple(variables)
        self.spatial_dims = image.ndim - 1
        self.affine = affine
        self._key = f"{NAME} {uuid.uuid4()}"

    def items(self) -> Sequence[Item]:
        """Returns the only item."""
        return [Item(self._key, NAME)]

    def parts(self, item: Item) -> Sequence[str]:
        """Returns nothing: there is no file."""
        return ()

    def shape(self, item: Item) -> tuple[int, ...]:
        """Returns `(C, *S)`."""
        return self.image.shape

    def geometry(self, item: Item) -> Geometry | None:
        """Returns the grid in space, if it is known."""
        return None if self.affine is None else Geometry.checked(self.image.shape[1:], self.affine)

    def read(
        self, item: Item, region: tuple[slice, ...] | None = None, channels: Sequence[int] | None = None
    ) -> Sample:
        """Returns a view of the region, and a copy of it for some channels."""
        chosen = range(len(self.variables)) if channels is None else channels
        image = self.image[(slice(None), *(region or ()))]
        names = tuple(self.variables[channel] for channel in chosen)
        return Sample(image if channels is None else image[list(chosen)], None, names, NAME)
