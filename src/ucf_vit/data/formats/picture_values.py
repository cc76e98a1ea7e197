"""Values of pictures as they are stored: channels of images, and class numbers or colours of masks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ucf_vit.data.formats.pictures import check_single, opened, orientation_of, size_of
from ucf_vit.data.limits import check_size

_GREY = ("1", "L", "LA", "La", "F")
_LUMA = np.array([299, 587, 114])
"""Weights of red, green and blue in thousandths (ITU-R BT.601)."""


def picture_header(file: Path | BytesIO) -> tuple[int, tuple[int, int]]:
    """Returns the number of channels without alpha, 1 or 3, and height and width of the upright image."""
    with opened(file) as image:
        channels = channels_of(image)
    return channels, size_of(file)


def channels_of(image: Image.Image) -> int:
    """Returns the number of channels of an image without its alpha: 1 or 3."""
    return 1 if image.mode in _GREY or image.mode.startswith("I") else 3


def read_image(file: Path, channels: int | None, limit: int) -> NDArray[Any]:
    """Returns `[C, H, W]` in the stored type, 8 or 16 bits or float.

    `channels` None is 1 for grey and 3 for colour, without alpha. With 1, colours become grey (ITU-R BT.601);
    with 3, grey is repeated; 4 is colour and alpha, which is opaque where the file has none. Raises DataError
    where the header announces more than `limit` bytes.
    """
    with opened(file) as image:
        check_single(image)
        check_size(str(file), image.width * image.height * 8, limit)
        pixels = _deep(file, image) if _is_deep(image) else _shallow(image)
        return _as_channels(_turned(pixels, orientation_of(image)), channels or channels_of(image))


def read_mask(file: Path, limit: int, colours: bool = False) -> NDArray[Any]:
    """Returns the stored numbers `[H, W]` of a mask: grey values, or indices into its palette.

    Colours `[H, W, 3]` are returned where the mask has no such numbers, and, with `colours`, of any mask.
    """
    with opened(file) as image:
        check_single(image)
        check_size(str(file), image.width * image.height * 8, limit)
        if colours or (channels_of(image) == 3 and image.mode != "P"):
            if _is_deep(image):
                raise ValueError(
                    "its colours have 16 bits; masks have grey values, a palette or 8 bit colours"
                )
            has_alpha = image.mode in ("RGBA", "RGBa", "PA")
            pixels = _opaque(np.asarray(image.convert("RGBA" if has_alpha else "RGB")), 3)
        elif image.mode in ("LA", "La"):
            pixels = _opaque(np.asarray(image.convert("LA")), 1)[..., 0]
        else:
            pixels = np.asarray(image, np.uint8 if image.mode == "1" else None)
        return _turned(pixels, orientation_of(image))  # 1 once loading has turned a TIFF


def _opaque(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Returns `[H, W, channels]` without alpha. Raises ValueError where pixels of one value differ in it."""
    values, alpha = pixels[..., :channels], pixels[..., channels:]
    if alpha.size and alpha.min() < alpha.max():
        codes = values.astype(np.uint32) @ (256 ** np.arange(channels, dtype=np.uint32))
        if np.unique(codes * 256 + alpha[..., 0]).size > np.unique(codes).size:
            raise ValueError(
                "pixels of one value differ in alpha, which is no class; save what alpha shows as grey values"
            )
    return values


def _is_deep(image: Image.Image) -> bool:
    """Returns whether colours have 16 bits, of which Pillow keeps the upper 8 only."""
    tiles = getattr(image, "tile", ())
    deep = any(";16" in str(tile[3]) for tile in tiles)
    return deep and not image.mode.startswith("I")


def _deep(file: Path, image: Image.Image) -> NDArray[Any]:
    """Returns `[H, W, C]`, red first, decoded by OpenCV, which turns some TIFF images itself."""
    if image.format == "TIFF" and orientation_of(image) != 1:
        raise ValueError("a TIFF image of 16 bit colours that is stored turned; save it upright")
    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("its 16 bit colours can't be decoded")
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., order[pixels.shape[2]]]


def _shallow(image: Image.Image) -> NDArray[Any]:
    """Returns `[H, W, C]`: grey, grey and alpha, colour, or colour and alpha."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("La", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("La", "L") else "RGBA")
    elif channels_of(image) == 3 and image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns `[H, W, ...]` upright, by the value of the tag (Exif 2.32, 4.6.4)."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


def _as_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Returns `[C, H, W]` of `[H, W, 1 to 4]`: grey, grey and alpha, colour, or colour and alpha."""
    *shape, stored = pixels.shape
    colour = pixels[..., :1] if stored < 3 else pixels[..., :3]
    if channels == 1 and stored >= 3:
        colour = ((colour @ _LUMA + 500) // 1000).astype(pixels.dtype)[..., None]
    elif channels >= 3 and stored < 3:
        colour = np.repeat(colour, 3, axis=-1)
    if channels == 4:
        opaque = np.full((*shape, 1), np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1)
        alpha = pixels[..., -1:] if stored in (2, 4) else opaque.astype(pixels.dtype)
        colour = np.concatenate([colour, alpha], axis=-1)
    return np.ascontiguousarray(np.moveaxis(colour, -1, 0))
