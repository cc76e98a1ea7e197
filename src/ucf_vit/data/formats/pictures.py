"""JPEG, PNG and similar formats, read by Pillow and turned as their Exif orientation says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ucf_vit.data.limits import check_size

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that turns the stored image upright, by the value of the tag (Exif 2.32, 4.6.4)."""
_TIFF_SIZE = (256, 257)
_FIRST_SIDE_WAYS = 5
"""Smallest tag value for which rows and columns are exchanged."""
_NO_PICTURES = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
"""Formats that Pillow passes to other programs."""
_WITH_PREVIEWS = ("MPO", "PSD")
"""Formats whose first image is the complete one; others are previews or layers."""


@cache
def suffixes() -> tuple[str, ...]:
    """Returns the suffixes, in lower case, of formats that Pillow decodes without other programs."""
    Image.init()
    known = set(Image.OPEN) - _NO_PICTURES
    return tuple(end for end, kind in Image.registered_extensions().items() if kind in known)


def size_of(file: Path | BytesIO) -> tuple[int, int]:
    """Returns height and width of the upright image, from its header."""
    with opened(file) as image:
        late = image.format == "PNG" and "exif" not in image.info
        turn = _late_orientation(file) if late else orientation_of(image)
        width, height = image.size
        if image.format == "TIFF":  # which some releases of Pillow turn when it is opened, others later
            width, height = (int(image.tag_v2[tag]) for tag in _TIFF_SIZE)  # type: ignore[attr-defined]
        return (width, height) if turn >= _FIRST_SIDE_WAYS else (height, width)


def read_rgb(file: Path | BytesIO, size: tuple[int, int] | None, limit: int) -> NDArray[np.float32]:
    """Returns `[H, W, 3]` in [0, 1].

    `size` (H, W) resizes by a triangle filter as wide as the reduction. Raises DataError where the header
    announces more than `limit` bytes.
    """
    with opened(file) as image:
        check_single(image)
        sideways = image.format == "JPEG" and orientation_of(image) >= _FIRST_SIDE_WAYS
        if size is not None:
            height, width = size[::-1] if sideways else size
            image.draft(None, (2 * width, 2 * height))
        check_size(str(file), image.width * image.height * (12 if size is None else 4), limit)
        top = 255.0
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
            top, picture = 65535.0, image.convert("F")
        elif image.mode in ("I", "F"):
            raise ValueError(f"its {image.mode} pixels of 32 bits have no defined range to map to [0, 1]")
        elif "transparency" in image.info:
            picture = image.convert("RGBA").convert("RGB")
        else:
            picture = image.convert("RGB")
        picture = _turned(picture, orientation_of(image))
        if size is not None and picture.size != (size[1], size[0]):
            picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, np.float32)
    pixels = pixels / np.float32(top)
    return np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels


@contextmanager
def opened(file: Path | BytesIO) -> Iterator[Image.Image]:
    """Context with an image whose pixels are not decoded yet. Raises ValueError for no format of pixels."""
    Image.MAX_IMAGE_PIXELS = None  # Pillow refuses images of more than 179 million pixels
    with ExitStack() as stack:
        # Pillow maps files that it knows by name, and mixes up rows and columns of turned grey TIFF images
        stream = file if isinstance(file, BytesIO) else stack.enter_context(file.open("rb"))
        image = stack.enter_context(Image.open(stream))
        if image.format in _NO_PICTURES:
            raise ValueError(f"{image.format} is not a pixel format")
        yield image


def check_single(image: Image.Image) -> None:
    """Raises ValueError for an animation or a stack of images."""
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in _WITH_PREVIEWS:
        raise ValueError(f"it holds {count} images; expected one")


def orientation_of(image: Image.Image) -> int:
    """Returns the orientation in the Exif data, 1 (upright) to 8."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if value in _TURNS else 1


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _late_orientation(file: Path | BytesIO) -> int:
    """Returns the orientation of a PNG image whose Exif chunk follows the pixels, which are not decoded."""
    if isinstance(file, BytesIO):
        return _in_chunks(BytesIO(file.getbuffer()))
    with file.open("rb") as stream:
        return _in_chunks(stream)


def _in_chunks(stream: IO[bytes]) -> int:
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"eXIf":
            exif = Image.Exif()
            exif.load(stream.read(length))
            turn = exif.get(_ORIENTATION, 1)
            return turn if turn in _TURNS else 1
        stream.seek(length + 4, 1)
    return 1
