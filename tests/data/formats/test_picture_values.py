"""Values of pictures as stored: 8 and 16 bits, grey and colour, alpha, orientation, and masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.picture_values import picture_header, read_image, read_mask

LIMIT = 2**30
NOISE = np.random.default_rng(0)
RGB = NOISE.integers(0, 255, (6, 5, 3), np.uint8)
RGBA = NOISE.integers(0, 255, (6, 5, 4), np.uint8)
GREY = RGB[..., 0]
DEEP = NOISE.integers(0, 65535, (6, 5), np.uint16)
DEEP_RGB = NOISE.integers(0, 65535, (6, 5, 3), np.uint16)
DEEP_RGBA = NOISE.integers(0, 65535, (6, 5, 4), np.uint16)


def save(path: Path, pixels: np.ndarray) -> Path:
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        order = [2, 1, 0, 3][: pixels.shape[-1]]
        assert cv2.imwrite(str(path), pixels[..., order])
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("end", ["png", "tif"])
@pytest.mark.parametrize(
    "pixels", [GREY, RGB, RGBA, DEEP, DEEP_RGB, DEEP_RGBA], ids=lambda p: f"{p.shape}{p.dtype}"
)
def test_every_bit_is_kept(tmp_path: Path, end: str, pixels: np.ndarray) -> None:
    path = save(tmp_path / f"a.{end}", pixels)
    colour = pixels if pixels.ndim == 3 else pixels[..., None]
    stored = colour[..., :3]
    assert picture_header(path) == (stored.shape[-1], (6, 5))
    image = read_image(path, None, LIMIT)
    assert image.dtype == pixels.dtype and np.array_equal(image, np.moveaxis(stored, -1, 0))
    assert np.array_equal(read_image(path, 3, LIMIT), np.broadcast_to(np.moveaxis(stored, -1, 0), (3, 6, 5)))
    alpha = read_image(path, 4, LIMIT)[3]
    opaque = np.full((6, 5), np.iinfo(pixels.dtype).max)
    assert np.array_equal(alpha, pixels[..., 3] if colour.shape[-1] == 4 else opaque)
    grey = read_image(path, 1, LIMIT)[0]
    luma = stored @ np.array([0.299, 0.587, 0.114]) if stored.shape[-1] == 3 else stored[..., 0]
    assert grey.dtype == pixels.dtype and np.abs(grey - luma).max() <= 0.5


def test_palettes_bilevel_and_grey_with_alpha(tmp_path: Path) -> None:
    Image.fromarray(RGB).quantize(8).save(tmp_path / "p.png")
    expected = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    assert np.array_equal(read_image(tmp_path / "p.png", None, LIMIT), np.moveaxis(expected, -1, 0))
    Image.fromarray(GREY > 99).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "b.png", None, LIMIT)[0], np.where(GREY > 99, 255, 0))
    assert np.array_equal(read_mask(tmp_path / "b.png", LIMIT), GREY > 99)
    Image.fromarray(RGBA[..., :2], "LA").save(tmp_path / "la.png")
    assert picture_header(tmp_path / "la.png")[0] == 1
    assert np.array_equal(read_image(tmp_path / "la.png", None, LIMIT)[0], RGBA[..., 0])
    assert np.array_equal(read_image(tmp_path / "la.png", 4, LIMIT)[3], RGBA[..., 1])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_of_a_mask_is_no_class(tmp_path: Path, mode: str) -> None:
    values = np.zeros((6, 5), np.uint8)
    values[1:3, 1:4] = 1
    pixels = np.stack([*[values] * (len(mode) - 1), np.full_like(values, 255)], -1)
    for alpha in (pixels[..., -1], 255 * values):  # opaque, or where the values say the same
        pixels[..., -1] = alpha
        Image.fromarray(pixels, mode).save(tmp_path / "a.png")
        assert np.array_equal(read_mask(tmp_path / "a.png", LIMIT).reshape(30, -1)[:, 0], values.ravel())
    pixels[..., :-1] = 0
    Image.fromarray(pixels, mode).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="pixels of one value differ in alpha"):
        read_mask(tmp_path / "a.png", LIMIT)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("end", ["png", "tif", "jpg"])
def test_images_and_masks_are_turned_alike(tmp_path: Path, end: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(np.array([[10, 60, 110], [160, 210, 250]], np.uint8), np.ones((16, 16), np.uint8))
    Image.fromarray(blocks).save(tmp_path / f"a.{end}", exif=exif)
    stored = blocks if end != "jpg" else np.asarray(Image.open(tmp_path / "a.jpg"))
    turned = [stored, stored[:, ::-1], stored[::-1, ::-1], stored[::-1]]
    upright = [*turned, *(stored.T, stored.T[:, ::-1], stored.T[::-1, ::-1], stored.T[::-1])][orientation - 1]
    image = read_image(tmp_path / f"a.{end}", None, LIMIT)[0]
    assert picture_header(tmp_path / f"a.{end}")[1] == image.shape
    assert np.array_equal(image, upright)
    assert np.array_equal(read_mask(tmp_path / f"a.{end}", LIMIT), upright)


def test_deep_colours_are_turned_too(tmp_path: Path) -> None:
    save(tmp_path / "a.png", DEEP_RGB)
    plain = (tmp_path / "a.png").read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(GREY).save(tmp_path / "b.png", exif=exif)
    tagged = (tmp_path / "b.png").read_bytes()
    start = tagged.index(b"eXIf") - 4
    chunk = tagged[start : start + 12 + int.from_bytes(tagged[start : start + 4], "big")]
    (tmp_path / "c.png").write_bytes(plain[:33] + chunk + plain[33:])
    image = read_image(tmp_path / "c.png", None, LIMIT)
    assert image.shape == (3, 5, 6) and np.array_equal(image, np.moveaxis(np.rot90(DEEP_RGB, -1), -1, 0))


def test_limits_and_stacks(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    with pytest.raises(DataError):
        read_image(tmp_path / "a.png", None, 100)
    with pytest.raises(DataError):
        read_mask(tmp_path / "a.png", 100)
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(tmp_path / "s.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="holds 2 images; expected one"):
        read_image(tmp_path / "s.tif", None, LIMIT)
    with pytest.raises(ValueError, match="its colours have 16 bits"):
        read_mask(save(tmp_path / "d.png", DEEP_RGB), LIMIT)
