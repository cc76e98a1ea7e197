"""Header of one DICOM file: a slice and its position in space."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ucf_vit.core.errors import DataError
from ucf_vit.data.limits import check_plain, check_size
from ucf_vit.data.reading import reading

PLACED = ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
TAGS = ("SeriesInstanceUID", "Rows", "Columns", *PLACED, "SamplesPerPixel", "NumberOfFrames")
ALSO = ("SliceThickness", "SOPClassUID", "Modality", "PatientID")
_IMAGES = "Image Storage"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_START = 2**12
_META = 144
"""Number of bytes before those that the group length of the file's meta information counts."""


@dataclass(frozen=True)
class Slice:
    """File of a series: properties that all files must share, and the position of its first pixel, in mm.

    `place` is measured along its rows, its columns, and their normal; `spacing` is that of columns and rows.
    `thickness` is 0 where the file has none, `patient` is the PatientID, "" where it has none.
    """

    path: str
    stamp: tuple[int, int]
    series: str
    shape: tuple[int, int]
    spacing: tuple[float, float]
    orientation: tuple[float, ...]
    place: tuple[float, float, float]
    thickness: float = 0.0
    patient: str = ""


def read_slice(path: str, limit: int) -> Slice | DataError | str:
    """Returns the slice from the header of a file, or the error where it can't be used.

    More than `limit` bytes are an error. Of an object that is no image, such as a structure set, a report or
    a segmentation, the kind of object is returned.
    """
    try:
        with reading(path, "no usable DICOM header"):
            return _read(path, limit)
    except DataError as error:
        return error


def read_file(path: str, limit: int, **options: Any) -> Any:
    """Returns pydicom's dataset. Raises DataError where the file unpacks to more than `limit` bytes."""
    import pydicom

    check_plain(path)
    with Path(path).open("rb") as file:
        if _DEFLATED in file.read(_START):
            _check_deflated(path, limit)
        file.seek(0)
        return pydicom.dcmread(file, force=False, **options)


def _read(path: str, limit: int) -> Slice | str:
    header = read_file(path, limit, stop_before_pixels=True, specific_tags=[*TAGS, *ALSO])
    if kind := _no_image(header):
        return kind
    missing = [tag for tag in TAGS[:6] if header.get(tag) is None]
    if missing or int(header.get("NumberOfFrames") or 1) != 1 or header.get("SamplesPerPixel", 1) != 1:
        expected = "expected a grey slice with its position in space"
        raise ValueError(f"has no {missing[0]}; {expected}" if missing else f"not one slice; {expected}")
    across = np.asarray(header.ImageOrientationPatient, float).reshape(2, 3)
    spacing = np.asarray(header.PixelSpacing, float)
    upright = np.allclose(across @ across.T, np.eye(2), atol=0.01)
    if not upright or spacing.shape != (2,) or not min(spacing) > 0:
        raise ValueError(f"no orientation and spacing of pixels: {across.ravel()}, {spacing}")
    place = np.array([*across, np.cross(*across)]) @ np.asarray(header.ImagePositionPatient, float)
    shape = int(header.Columns), int(header.Rows)
    if not np.isfinite([*place, *spacing]).all() or min(shape) < 1:
        raise ValueError(f"{shape} pixels at {header.ImagePositionPatient} have no position in space")
    stat = Path(path).stat()
    return Slice(
        path=path,
        stamp=(stat.st_size, stat.st_mtime_ns),
        series=str(header.SeriesInstanceUID),
        shape=shape,
        spacing=(float(spacing[1]), float(spacing[0])),
        orientation=tuple(across.ravel().tolist()),
        place=(float(place[0]), float(place[1]), float(place[2])),
        thickness=float(header.get("SliceThickness") or 0),
        patient=str(header.get("PatientID") or "").strip(),
    )


def _no_image(header: Any) -> str:
    """Returns the kind of an object whose class is known and is not an image class; else an empty string."""
    from pydicom.uid import UID

    uid = UID(str(header.get("SOPClassUID") or ""))
    if uid.name == uid or _IMAGES in uid.name:
        return ""
    return f"DICOM {header.get('Modality', '')}: {uid.name.removesuffix(' Storage')}"


def _check_deflated(path: str, limit: int) -> None:
    """Raises DataError where a deflated file unpacks to more than `limit` bytes: pydicom has no limit."""
    from pydicom.filereader import read_file_meta_info

    start = _META + int(read_file_meta_info(path).FileMetaInformationGroupLength)
    unpacker, size = zlib.decompressobj(wbits=-15), 0
    with Path(path).open("rb") as file:
        file.seek(start)
        while not unpacker.eof and (packed := unpacker.unconsumed_tail or file.read(_START)):
            size += len(unpacker.decompress(packed, 2**20))
            check_size(path, size, limit)
