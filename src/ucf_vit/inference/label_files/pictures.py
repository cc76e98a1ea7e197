"""Labels as PNG, with the colours of the classes as palette, and as TIFF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.data.sources.layouts.file_source import FileSource
from ucf_vit.data.sources.tiff import Tiff as TiffSource
from ucf_vit.inference.inputs import Case
from ucf_vit.inference.label_files.label_format import LabelClass, LabelFormat

TIFF_SUFFIXES = (".tif", ".tiff")
_ORIENTATION = 274
_PLACE = (282, 283, 296, 33550, 33922, 34264, 34735, 34736, 34737)
"""Tags of resolution (TIFF 6.0) and of the place on the Earth (GeoTIFF 1.1)."""
_LARGE = 2**31


class Png(LabelFormat):
    """Class numbers of 8 bits with a palette of their colours; of 16 bits for more than 256 classes."""

    name, dims = "png", (2,)

    def suffix(self, case: Case) -> str:
        """Returns `.png`."""
        return ".png"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the file."""
        content = io.BytesIO()
        if labels.dtype == np.uint8:
            picture = Image.fromarray(labels)
            picture.putpalette([round(255 * part) for one in classes for part in one.colour])
        else:
            picture = Image.fromarray(labels.astype(np.uint16))
        picture.save(content, "PNG")
        write_atomic(path, content.getvalue())


class Tiff(LabelFormat):
    """Class numbers of 8 or 16 bits: an image, or a stack whose pages are the first axis of the volume.

    Resolution and place on the Earth are those of an image that is TIFF and stored upright.
    """

    name, dims = "tiff", (2, 3)

    def suffix(self, case: Case) -> str:
        """Returns that of the image where it is TIFF."""
        ending = Path(case.item.image).suffix
        return ending if ending.lower() in TIFF_SUFFIXES else ".tif"

    def write(self, path: Path, labels: NDArray[Any], case: Case, classes: Sequence[LabelClass]) -> None:
        """Writes the file, compressed without loss."""
        values = labels if labels.dtype == np.uint8 else labels.astype(np.uint16)
        first, *others = [
            Image.fromarray(np.ascontiguousarray(page)) for page in values.reshape(-1, *values.shape[-2:])
        ]
        tags = ImageFileDirectory_v2()
        if is_tiff(case):
            tags = case.dataset.files.using(case.item.image, _place)
        content = io.BytesIO()
        first.save(
            content,
            "TIFF",
            save_all=True,
            append_images=others,
            compression="tiff_adobe_deflate",
            tiffinfo=tags,
            big_tiff=values.nbytes > _LARGE,
        )
        write_atomic(path, content.getvalue())


def is_tiff(case: Case) -> bool:
    """Returns whether an item is a TIFF file."""
    files = isinstance(case.source, FileSource | TiffSource)
    return files and Path(case.item.image).suffix.lower() in TIFF_SUFFIXES


def _place(file: Path) -> ImageFileDirectory_v2:
    """Returns the tags that place an upright image; none of one that was turned when it was read."""
    kept = ImageFileDirectory_v2()
    with Image.open(file) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        if tags.get(_ORIENTATION, 1) == 1:
            for tag in _PLACE:
                if tag in tags:
                    kept.tagtype[tag] = tags.tagtype[tag]
                    kept[tag] = tags[tag]
    return kept
