"""Names, groups and voxel spacings of the items of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Batch
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.splits.groups import group_of_items

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedCase:
    """Name and group of an item, and the distance of voxels along each axis where predictions are compared.

    `affine` `[4, 4]` is the place of the item in space; where it is not known, the spacing is that of pixels
    (1).
    """

    name: str
    group: str
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None = None


class NamedCases:
    """Cases of the samples of a batch, by the data sets that they come from.

    `groups` say how the items of a data set are grouped, as `data.groups` does. With `other_data` items
    without such a group are groups of their own; otherwise they raise DataError.
    """

    def __init__(self, datasets: Sequence[Dataset], groups: Mapping[str, str], other_data: bool) -> None:
        self._datasets = datasets
        self._groups = [_groups(one, groups.get(one.name, ""), other_data) for one in datasets]
        keys = [item.key for one in datasets for item in one.items]
        self._prefixed = len(set(keys)) < len(keys)

    def of(self, batch: Batch, row: int) -> NamedCase:
        """Returns the case of sample number `row` of a batch."""
        number = batch.items[row]
        place, dataset = next(
            (place, one)
            for place, one in enumerate(self._datasets)
            if one.name == batch.dataset
            and number < len(one.items)
            and one.items[number].image == batch.files[row]
        )
        item = dataset.items[number]
        root = getattr(dataset.source, "root", None) or dataset.name
        name = f"{root}/{item.key}" if self._prefixed else item.key
        if batch.variables != dataset.variables:
            name += f" [{', '.join(batch.variables)}]"
        group = self._groups[place][item.key] or name
        geometry = batch.original.grid.stored if batch.original else dataset.source.geometry(item)
        if geometry is None:
            return NamedCase(name, group, (1.0,) * dataset.source.spatial_dims)
        return NamedCase(name, group, geometry.spacing, geometry.affine)


def _groups(dataset: Dataset, how: str, other_data: bool) -> dict[str, str]:
    root = str(getattr(dataset.source, "root", None) or "")
    try:
        return group_of_items(dataset.items, root, how)
    except DataError as error:
        if not other_data:
            raise
        log.warning("%s; every item of it counts as a group of its own", error)
        return {item.key: item.group for item in dataset.items}
