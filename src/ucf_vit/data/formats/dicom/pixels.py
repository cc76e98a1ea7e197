"""Values of DICOM pixels: rescaled, with large values bright."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.formats.dicom.headers import Slice, read_file
from ucf_vit.data.formats.unpacked_size import check_unpacked
from ucf_vit.data.limits import check_size
from ucf_vit.data.reading import reading


def decode(slices: Sequence[Slice], limit: int) -> NDArray[Any]:
    """Returns `[X, Y, Z]` float32.

    Raises DataError with the file that can't be decoded, and for more than `limit` bytes.
    """
    shape = (len(slices), *reversed(slices[0].shape))
    check_size(slices[0].path, 4 * shape[0] * shape[1] * shape[2], limit)
    volume = np.empty(shape, np.float32)
    for plane, one in zip(volume, slices, strict=True):
        with reading(one.path, "can't be decoded"):
            with np.errstate(over="ignore", invalid="ignore"):
                plane[...] = _values(read_file(one.path, limit), limit)
            if not np.isfinite(plane).all():
                raise ValueError("its rescale slope and intercept give values that are not finite")
    return volume.T


def _values(dataset: Any, limit: int) -> NDArray[Any]:
    """Returns `[Y, X]`: stored * slope + intercept, in float32, or float64 where float32 is not exact.

    Slope and intercept are 1 and 0 where they are missing or empty (PS3.3 C.11.1). Pixels without a unit
    whose small values are white (MONOCHROME1, as some X-ray devices give) are inverted.
    """
    kind = dataset.get("PhotometricInterpretation") or "MONOCHROME2"
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(f"its pixels are {kind}; expected grey ones")
    if dataset.get("ModalityLUTSequence"):
        raise ValueError("its pixels need a Modality LUT, which is not supported; rescale them first")
    slope, intercept = (_number(dataset, name, usual) for name, usual in (("Slope", 1.0), ("Intercept", 0.0)))
    if not (np.isfinite([slope, intercept]).all() and slope):
        raise ValueError(
            f"rescale slope {slope:g} and intercept {intercept:g} are no valid scale for its pixels"
        )
    if "NumberOfFrames" in dataset and not dataset.NumberOfFrames:
        del dataset.NumberOfFrames  # pydicom warns of an empty one
    _check_frame(dataset, limit)
    pixels: NDArray[Any] = dataset.pixel_array
    values = pixels.astype(np.result_type(pixels.dtype, np.float32))
    if kind == "MONOCHROME1" and (slope, intercept) == (1.0, 0.0):
        np.subtract(_ends(pixels.dtype, int(dataset.BitsStored)), values, out=values)
    values *= values.dtype.type(slope)
    values += values.dtype.type(intercept)
    return values


def _check_frame(dataset: Any, limit: int) -> None:
    """Raises DataError where compressed pixels exceed `limit` bytes by their own header."""
    from pydicom.encaps import generate_frames

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        for frame in generate_frames(dataset.PixelData, number_of_frames=1):
            check_unpacked("its pixels", frame, limit)


def _number(dataset: Any, name: str, usual: float) -> float:
    value = dataset.get(f"Rescale{name}")
    return usual if value in (None, "") else float(value)


def _ends(dtype: np.dtype[Any], bits: int) -> int:
    """Returns the smallest plus the largest integer of `bits`; floats are inverted around 0."""
    return {"u": 2**bits - 1, "i": -1}.get(dtype.kind, 0)
