"""Reads a label and a prediction that lie on one grid."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.data.geometry.difference import difference
from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.sources.layouts.separate_files import stem_of
from ucf_vit.data.sources.readers.reader import FileHeader, Reader
from ucf_vit.data.sources.readers.reader_of import reader_of
from ucf_vit.data.storage import Files
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.labels import label_values
from ucf_vit.evaluation.files.pairs import Pair

HIGHEST = 2**15 - 1
"""Largest class number."""


class ReadPair(NamedTuple):
    """Class numbers of label and prediction `[*S]`, -1 where ignored, and the grid of the label."""

    predicted: NDArray[Any]
    label: NDArray[Any]
    spacing: tuple[float, ...]
    geometry: Geometry | None


class PairReader:
    """Reads pairs of files, one after the other; `ignored` is the value of voxels that do not count."""

    def __init__(self, ignored: int | None = None) -> None:
        self._ignored = ignored
        self._scratch = Scratch()
        self._files = Files()

    def read(self, pair: Pair) -> ReadPair:
        """Returns both files of a pair; of one without a prediction, background.

        Raises DataError naming the file for shapes or positions in space that differ, and values that are no
        class numbers.
        """
        reader = self._reader(pair.label)
        header = _header(reader, pair.label)
        label = self._numbers(reader, pair.label, header.shape)
        if self._ignored is not None:
            label[label == self._ignored] = -1
        spacing = header.geometry.spacing if header.geometry else (1.0,) * len(header.shape)
        predicted = np.zeros_like(label)
        if pair.predicted is not None:
            other = self._reader(pair.predicted)
            self._check(pair, pair.predicted, header, other)
            predicted = self._numbers(other, pair.predicted, header.shape)
            if self._ignored is not None:
                predicted[predicted == self._ignored] = 0
        for path, values in ((pair.label, np.where(label == -1, 0, label)), (pair.predicted, predicted)):
            if values.min() < 0:
                raise DataError(f"{path}: holds the value {values.min()}; class numbers are 0 and above")
        return ReadPair(predicted, label, spacing, header.geometry)

    def image(self, directory: Path, pair: Pair) -> NDArray[Any] | None:
        """Returns the first channel of the image of a case, `[*S]`.

        It has the name of the case, or that with `_0000` as in nnU-Net's folders; None where there is none.
        """
        for path in sorted(directory.glob(f"{glob.escape(pair.name)}*")):
            if stem_of(path.relative_to(directory).as_posix()) in (pair.name, f"{pair.name}_0000"):
                reader = self._reader(path)
                shape = reader.header(str(path)).shape
                return reader.image(str(path), (0,), tuple(slice(0, side) for side in shape))[0]
        return None

    def _check(self, pair: Pair, predicted: Path, label: FileHeader, reader: Reader) -> None:
        header = _header(reader, predicted)
        if header.shape != label.shape:
            raise DataError(
                f"{pair.predicted}: has the shape {header.shape}, its label {pair.label} has {label.shape}; "
                "both have to be on one grid"
            )
        if label.geometry is not None and header.geometry is not None:
            differs = difference(label.geometry, header.geometry)
            if differs:
                raise DataError(
                    f"{pair.predicted}: lies elsewhere in space than its label {pair.label} ({differs}); "
                    "resample it to the grid of the label"
                )

    def _numbers(self, reader: Reader, path: Path, shape: tuple[int, ...]) -> NDArray[np.int16]:
        """Returns the class numbers in a file, `[*S]`."""
        stored = reader.label(str(path), tuple(slice(0, side) for side in shape))
        found = label_values(stored)
        if found.nan or found.low <= found.high or (len(found.values) and abs(found.values).max() > HIGHEST):
            raise DataError(f"{path}: holds values that are no class numbers (integers from 0 to {HIGHEST})")
        return np.rint(stored).astype(np.int16)

    def _reader(self, path: Path) -> Reader:
        return reader_of(path.name, self._scratch, self._files, f"{path}:")


def _header(reader: Reader, path: Path) -> FileHeader:
    """Returns the header of a label or prediction. Raises DataError where it has several channels."""
    header = reader.header(str(path), label=True)
    if header.channels != 1:
        raise DataError(f"{path}: has {header.channels} channels; expected class numbers in one")
    return header
