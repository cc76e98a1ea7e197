"""Reads one tile, or one whole item, into arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.arrays import DTYPES, NUMPY_DTYPES, ArraySpec, Kind
from ucf_vit.data.batch import Original, Sample
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.item_facts import ItemFacts, ItemFactsCache, check_label, measure_facts
from ucf_vit.data.loader.augment import Augmentation
from ucf_vit.data.loader.shared_memory import BatchLayout, BatchPart
from ucf_vit.data.read_item import read_sample, reading_item
from ucf_vit.data.sources import Item
from ucf_vit.data.sources.regridded import Regridded
from ucf_vit.data.values.labels import label_values
from ucf_vit.data.values.normalization import Affine

Arrays = Mapping[str, NDArray[Any]]
"""Arrays of one sample by name."""


class TileReader:
    """Reads tiles of one data set, `channels` only, and applies `augmentation`.

    Raises DataError where the augmentation would exchange axes of different lengths.
    """

    def __init__(
        self, dataset: Dataset, channels: tuple[int, ...], augmentation: Augmentation | None = None
    ) -> None:
        self.dataset = dataset
        self.channels = channels
        self.augmentation = augmentation
        self.specs = dict(dataset.source.arrays)
        if augmentation is not None and augmentation.exchange:
            _check_exchange(dataset, self.specs)
        self._facts = ItemFactsCache(dataset)
        self._broken: dict[int, str] = {}

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the channels read."""
        return tuple(self.dataset.source.variables[c] for c in self.channels)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kinds of the arrays besides image and label."""
        return {name: spec.kind for name, spec in self.specs.items()}

    @property
    def layout(self) -> BatchLayout:
        """Layout of the batches that `read` fills."""
        size, first = self.dataset.tile_size, self.dataset.items[0]
        parts = {"image": BatchPart((len(self.channels), *size), torch.float32, torch.float32)}
        if first.label is not None or first.class_index is not None:
            shape = () if first.label is None else size
            parts["label"] = BatchPart(shape, torch.int64, torch.int64)
        for name, spec in self.specs.items():
            parts[name] = BatchPart(spec.shape_for(size), DTYPES[spec.kind], DTYPES[spec.kind])
        return BatchLayout(parts)

    def file(self, tile: int) -> str:
        """Returns the image file that contains tile number `tile`."""
        return self.dataset.items[self.dataset.locate(tile)[0]].image

    def read(self, tile: int, key: int, out: Arrays) -> int:
        """Fills the arrays `out` of one row of `layout` with tile number `tile`; returns its item's number.

        Raises DataError with the file and the cause. A file that failed once is not tried again. Where the
        normalization does not need whole items, only tiles with NaN or infinite values are refused.
        """
        number, k = self.dataset.locate(tile)
        item, tiling = self.dataset.items[number], self.dataset.tilings[number]
        if number in self._broken:
            raise DataError(self._broken[number])
        try:
            with reading_item(item):
                sample, facts = self._sample(number, tiling.region(k))
        except DataError as error:
            self._broken[number] = str(error)
            raise
        with reading_item(item):
            self._check(sample)
            self._fill(sample, facts, key, out)
        return number

    def whole(self, number: int) -> Sample:
        """Returns item number `number` with the values and types that its tiles have. Raises DataError."""
        item, tiling = self.dataset.items[number], self.dataset.tilings[number]
        with reading_item(item):
            sample, facts = self._sample(number, tuple(slice(0, n) for n in tiling.shape))
            self._check(sample)
            image = np.empty(sample.image.shape, np.float32)
            self.dataset.normalization.apply(sample.image, facts.affine, image)
            label = None if sample.label is None else np.empty(sample.label.shape, np.int64)
            if sample.label is not None and label is not None:
                self.dataset.label_map.convert(sample.label, label)
            extra: dict[str, NDArray[Any]] = {}
            for name, spec in self.specs.items():
                extra[name] = np.empty(sample.extra[name].shape, NUMPY_DTYPES[spec.kind])
                _write(name, spec, sample.extra[name], extra[name])
        return replace(sample, image=image, label=label, extra=extra)

    def affine(self, number: int) -> Affine:
        """Returns the normalization of item number `number`, one shift and divisor per channel."""
        with reading_item(self.dataset.items[number]):
            return self._facts.of(number, self.channels).affine

    def original(self, number: int) -> Original | None:
        """Returns the label of item number `number` on the grid on which it is stored.

        None where items are used on that grid, or have no label per voxel. Raises DataError.
        """
        source, item = self.dataset.source, self.dataset.items[number]
        if not isinstance(source, Regridded) or item.label is None:
            return None
        stored = read_sample(source.inner, item, None, self.channels[:1]).label
        if stored is None:
            return None
        with reading_item(item):
            check_label(label_values(stored), item, self.dataset.label_map, self.dataset.num_classes)
            label = np.empty(stored.shape, np.int64)
            self.dataset.label_map.convert(stored, label)
        return Original(source.grid(item), torch.from_numpy(label)[None])

    def _sample(self, number: int, region: tuple[slice, ...]) -> tuple[Sample, ItemFacts]:
        """Returns a region and the facts about its item; an item that is a single tile is read once."""
        tiling, item = self.dataset.tilings[number], self.dataset.items[number]
        shape = tuple(part.stop - part.start for part in region)
        if len(tiling) == 1 and shape == tiling.shape:
            sample = read_sample(self.dataset.source, item, None, self.channels)
            facts = measure_facts(sample, item, self.channels, self.dataset.normalization)
        else:
            facts = self._facts.of(number, self.channels)
            sample = read_sample(self.dataset.source, item, region, self.channels)
        _check_shape(sample, item, (len(self.channels), *shape))
        _check_extra(sample, item, {name: spec.shape_for(shape) for name, spec in self.specs.items()})
        check_label(facts.label, item, self.dataset.label_map, self.dataset.num_classes)
        return sample, facts

    def _check(self, sample: Sample) -> None:
        """Raises DataError for values that can't be used and were not checked with the whole item."""
        if not self.dataset.normalization.needs_whole_item:
            self.dataset.normalization.check(sample.image, self.channels)

    def _fill(self, sample: Sample, facts: ItemFacts, key: int, out: Arrays) -> None:
        turn = self.augmentation.turn(key, self.dataset.tile_size) if self.augmentation else _as_is
        values = turn(self._flat(sample.image))
        self.dataset.normalization.apply(values, facts.affine, _corner(out["image"], values.shape))
        if "label" in out:
            stored = np.asarray(sample.label)
            stored = turn(self._flat(stored)) if stored.ndim else stored
            self.dataset.label_map.convert(stored, _corner(out["label"], stored.shape))
        for name, spec in self.specs.items():
            stored = self._flat(sample.extra[name]) if spec.on_grid else sample.extra[name]
            stored = stored if spec.kind == "number" else turn(stored)
            _write(name, spec, stored, _corner(out[name], stored.shape))
        if self.augmentation:
            numbers = {name for name, spec in self.specs.items() if spec.kind == "number"}
            self.augmentation.finish(key, {name: out[name] for name in out if name not in numbers})

    def _flat(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[..., 0] if self.dataset.slices else array


def _as_is(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _corner(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Returns a view of the first `shape` entries along each axis, and sets all others to 0."""
    if array.shape == shape:
        return array
    array[...] = 0
    return array[tuple(slice(0, n) for n in shape)]


def _check_shape(sample: Sample, item: Item, shape: tuple[int, ...]) -> None:
    """Raises DataError where a file's arrays do not have the shape in its header; nothing is padded."""
    label = () if sample.label is None else sample.label.shape
    if sample.image.shape != shape or (label and label != shape[1:]):
        raise DataError(
            f"{item.image}: read an image {sample.image.shape} and a label {label}; by the header "
            f"expected {shape}"
        )


def _check_extra(sample: Sample, item: Item, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises DataError where a source has not read exactly the arrays that it declares."""
    shapes = {name: array.shape for name, array in sample.extra.items()}
    if shapes != expected:
        raise DataError(f"{item.image}: read the arrays {shapes}, the source declares {dict(expected)}")


def _check_exchange(dataset: Dataset, specs: Mapping[str, ArraySpec]) -> None:
    tile = dataset.tile_size
    for name, spec in specs.items():
        size = spec.size or tile
        if len({(side, own) for side, own in zip(tile, size, strict=True)}) != len(set(tile)):
            raise DataError(
                f"{dataset.name}: array {name!r} has the size {size} beside tiles of {tile}: axes of equal "
                "length are exchanged at random; make its axes equal too, or set data.keep_orientation: true"
            )


def _write(name: str, spec: ArraySpec, stored: NDArray[Any], out: NDArray[Any]) -> None:
    try:
        spec.write(stored, out)
    except DataError as error:
        raise DataError(f"array {name!r} {error}") from error
