"""Maps stored label values to class numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError
from ucf_vit.core.intervals import NAN, Interval
from ucf_vit.core.lists import first_few
from ucf_vit.data.values.labels import MAX_SPAN, TOLERANCE, LabelValues
from ucf_vit.data.values.memory_order import compact

IGNORED = -1
"""Class number of voxels that count in no loss and no metric."""


@dataclass(frozen=True)
class LabelMap:
    """Class numbers of stored values: of `single` values, else of `ranges`, else the value itself.

    `nan` is the class of NaN (None: NaN is an error). Values that map to `ignore` become `IGNORED`.
    """

    single: Mapping[int, int]
    ranges: tuple[tuple[Interval, int], ...] = ()
    nan: int | None = None
    ignore: int | None = None

    @classmethod
    def of(cls, mapping: Mapping[int | str, int] | None, ignore: int | None = None) -> LabelMap:
        """Returns the map for a mapping such as `{5: 1, "6..9": 2, ">9": 3, "nan": 0}`.

        Raises ValueError for an invalid key.
        """
        given = dict(mapping or {})
        return cls(
            single={key: number for key, number in given.items() if isinstance(key, int)},
            ranges=tuple(
                (Interval.parse(key), number)
                for key, number in given.items()
                if isinstance(key, str) and key != NAN
            ),
            nan=given.get(NAN),
            ignore=ignore,
        )

    def check(self, values: LabelValues, num_classes: int | None) -> None:
        """Raises DataError where a stored value maps to no class in [0, num_classes) and is not ignored."""
        if num_classes is None:
            return
        if values.nan and self.nan is None:
            raise DataError(
                "the label holds NaN: map NaN to a class, such as 0, with data.dict_label_mapping: "
                "{NAME: {nan: 0}}; or map it to a number that is ignored: {NAME: {nan: 255}} "
                "and data.ignore_label: 255"
            )
        if values.low <= values.high and not any(
            interval.has(values.low) and interval.has(values.high) for interval, _ in self.ranges
        ):
            self._refuse(values)
        numbers = self._mapped(values.values)
        fits = ((numbers >= 0) & (numbers < num_classes)) | (numbers == self.ignore)
        stray = values.values[~fits].tolist()
        if stray:
            shown = first_few(stray, 10)
            raise DataError(
                f"label value(s) {shown} outside [0, {num_classes}): raise num_classes, map the values to "
                "classes (data.dict_label_mapping, also by ranges such as '>0': 1), or leave them out of "
                "loss and metrics (data.ignore_label)"
            )

    def _refuse(self, values: LabelValues) -> None:
        fractions = [value for value in (values.low, values.high) if not float(value).is_integer()]
        if fractions:
            what = f"holds {fractions[0]:.9g}, which is no whole number within {TOLERANCE}"
        else:
            what = f"holds values up to {max(values.low, values.high, key=abs):.15g}, no class numbers"
        raise DataError(
            f"the label {what}; resample labels without interpolation, or map ranges to classes, such as "
            "data.dict_label_mapping: {NAME: {'>0': 1}}"
        )

    def numbers(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Returns class numbers, and `IGNORED`, of stored `values`, integer or not."""
        numbers = self._mapped(values)
        if self.ignore is not None:
            numbers[numbers == self.ignore] = IGNORED
        return numbers

    def _mapped(self, values: NDArray[Any]) -> NDArray[np.int64]:
        with np.errstate(invalid="ignore"):
            numbers = values.astype(np.int64)
        for interval, number in self.ranges:
            numbers[interval.has(values)] = number
        for value, number in self.single.items():
            numbers[values == value] = number
        if self.nan is not None and values.dtype.kind == "f":
            numbers[np.isnan(values)] = self.nan
        return numbers

    def convert(self, label: NDArray[Any], out: NDArray[np.int64]) -> None:
        """Writes the class numbers of `label` (any type, checked before) to `out`."""
        values = compact(label)
        if values.dtype.kind == "f" and (self.ranges or self.nan is not None):
            out[...] = self.numbers(_snapped(values))
            return
        if values.dtype.kind == "f":
            values = np.rint(values)
        np.copyto(out, values, casting="unsafe")
        if not (self.single or self.ranges or self.ignore is not None) or not out.size:
            return
        first, last = int(out.min()), int(out.max())
        if last - first < MAX_SPAN:
            np.take(self.numbers(np.arange(first, last + 1)), out - first, out=out)
        else:
            out[...] = self.numbers(values)


def _snapped(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the values with those within `TOLERANCE` of an integer rounded to it."""
    whole = np.rint(values)
    return np.where(np.abs(values - whole) <= TOLERANCE, whole, values)
