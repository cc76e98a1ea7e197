"""Options of the grid on which a data set is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ucf_vit.core.errors import DataError

SAME = 1e-4
"""Largest relative difference of two spacings that are taken for the same: headers round."""
Orientation = Literal["RAS", "as_stored"]
Crop = Literal["none", "nonzero", "threshold"]


@dataclass(frozen=True)
class GridOptions:
    """Grid on which items are used: direction of the axes, spacing in mm (None: as stored), and cropping.

    `spacing` is that of the axes in the order in which they are used: right, front, up with "RAS".
    """

    orientation: Orientation = "as_stored"
    spacing: tuple[float, ...] | None = None
    crop: Crop = "none"

    def __post_init__(self) -> None:
        if self.orientation not in get_args(Orientation):
            raise DataError(f"orientation {self.orientation!r}: expected RAS or as_stored")
        if self.crop not in get_args(Crop):
            raise DataError(f"crop {self.crop!r}: expected none, nonzero or threshold")
        if self.spacing is not None and not all(0 < step < float("inf") for step in self.spacing):
            raise DataError(f"spacing {list(self.spacing)}: expected positive numbers in mm")

    @property
    def as_stored(self) -> bool:
        """Whether items are used as they are stored."""
        return self == GridOptions()

    @property
    def needs_geometry(self) -> bool:
        """Whether the position of an item in space has to be known."""
        return self.orientation != "as_stored" or self.spacing is not None

    def __str__(self) -> str:
        """Returns a text such as `orientation RAS, spacing 1 x 1 x 2.5 mm`."""
        spacing = "" if self.spacing is None else " x ".join(f"{step:g}" for step in self.spacing) + " mm"
        return ", ".join(
            f"{name} {spacing if name == 'spacing' else value}" for name, value in self.values.items()
        )

    def fulfil(self, requested: GridOptions) -> bool:
        """Returns whether items on this grid are as `requested`, which leaves open what is "as stored"."""
        made, asked = self.values, requested.values
        steps = made.pop("spacing", []), asked.pop("spacing", None)
        if steps[1] is not None and (
            len(steps[0]) != len(steps[1])
            or any(abs(one / two - 1) > SAME for one, two in zip(*steps, strict=True))
        ):
            return False
        return all(made.get(name) == value for name, value in asked.items())

    @property
    def values(self) -> dict[str, Any]:
        """The options that differ from the defaults, as JSON: they change the values that are read."""
        given = {
            "orientation": self.orientation,
            "spacing": None if self.spacing is None else list(self.spacing),
            "crop": self.crop,
        }
        usual = {"orientation": "as_stored", "spacing": None, "crop": "none"}
        return {name: value for name, value in given.items() if value != usual[name]}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GridOptions:
        """Returns the options that `values` describes; other entries are not used."""
        spacing = values.get("spacing")
        return cls(
            values.get("orientation", "as_stored"),
            None if spacing is None else tuple(map(float, spacing)),
            values.get("crop", "none"),
        )
