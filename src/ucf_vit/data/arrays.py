"""Named arrays that a sample may have besides its image and label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ucf_vit.core.errors import DataError

Kind = Literal["image", "label", "mask", "number"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DTYPES = {"image": torch.float32, "label": torch.int64, "mask": torch.bool, "number": torch.float32}
"""Type of the tensors of each kind in a batch."""
NUMPY_DTYPES = {"image": np.float32, "label": np.int64, "mask": np.bool_, "number": np.float32}


@dataclass(frozen=True)
class ArraySpec:
    """Array that a source reads for every sample besides image and label.

    image: real values `[*shape, *S]`, float32 in a batch. label: integers, int64. mask: true where a value is
    not 0, bool. number: anything without spatial axes, of the given `shape`, float32; NaN is allowed.

    The spatial axes `*S` are those of the sample's image: `Source.read` returns the requested region, and the
    array is flipped, rotated, cropped and padded together with the image. With a `size`, an image has its own
    spatial size instead, always the same, and is read whole; it is flipped and rotated together with the
    sample's image, and not cropped. Values are used as the source returns them, without normalization.
    """

    kind: Kind
    shape: tuple[int, ...] = ()
    size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"kind of array {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.size is not None and self.kind != "image":
            raise DataError(f"a {self.kind} has no size of its own ({self.size}); only images can have one")

    @property
    def on_grid(self) -> bool:
        """Whether the spatial axes are those of the sample's image."""
        return self.kind != "number" and self.size is None

    @property
    def interpolation(self) -> str:
        """How values between voxels are computed: "bilinear" for images, else "nearest"."""
        return "bilinear" if self.kind == "image" else "nearest"

    def shape_for(self, space: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of the array of a sample whose image has the spatial size `space`."""
        return (*self.shape, *(space if self.on_grid else self.size or ()))

    def write(self, stored: NDArray[Any], out: NDArray[Any]) -> None:
        """Writes `stored` to `out` in the type of a batch. Raises DataError for values that do not fit."""
        if self.kind == "mask":
            if np.isnan(stored).any():
                raise DataError("holds NaN; expected a mask of numbers")
            np.not_equal(stored, 0, out=out)
            return
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(out, stored, casting="unsafe")
        if self.kind == "label" and not np.array_equal(out, stored):
            raise DataError("holds values that are not integers of 64 bits; expected a label")
        if self.kind == "image" and not np.isfinite(out).all():
            raise DataError("holds NaN, infinite values, or values too large for float32")
        if self.kind == "number" and np.isinf(out).any():
            raise DataError("holds infinite values, or values too large for float32")
