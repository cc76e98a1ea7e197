"""Images as they are seen: turned by their Exif orientation, wherever it stands in the file."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.open_image import read_file
from ucf_vit.data.formats.pictures import read_rgb, size_of
from ucf_vit.data.sources import ImageNet

PIXELS = np.zeros((16, 32, 3), np.uint8)
PIXELS[:8, 16:] = 255  # white: upper right
PIXELS[8:, :8, 0] = 128
NAMES = ["a.jpg", "a.png", *(["a.webp"] if features.check("webp") else []), "a.tif"]


def save(path, orientation, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tag = Image.Exif()
    tag[0x0112] = orientation
    options |= {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}
    options |= {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(PIXELS).save(path, exif=tag, **options)
    return path


def seen(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image), np.float32) / 255


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("name", NAMES)
def test_each_orientation_in_each_format(tmp_path, name, orientation):
    path = save(tmp_path / name, orientation)
    pixels = read_rgb(path, None, 2**30)
    assert size_of(path) == pixels.shape[:2]
    assert np.abs(pixels - seen(path)).max() < 0.02


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize("size", [(8, 4), (5, 9), (64, 64)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_resizing_comes_after_turning(tmp_path, name, orientation, size):
    path = save(tmp_path / name, orientation)
    pixels = read_rgb(path, size, 2**30)
    expected = Image.fromarray((seen(path) * 255).astype(np.uint8)).resize(
        size[::-1], Image.Resampling.BILINEAR
    )
    assert pixels.shape == (*size, 3)
    assert np.abs(pixels - np.asarray(expected, np.float32) / 255).mean() < 0.03


def late_exif(data: bytes) -> bytes:
    """The same PNG image with its Exif chunk after the pixels, where some programs write it."""
    chunks, place = [], 8
    while place < len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        chunks.append(data[place : place + 12 + length])
        place += 12 + length
    early = [chunk for chunk in chunks[:-1] if chunk[4:8] != b"eXIf"]
    return data[:8] + b"".join([*early, *(c for c in chunks if c[4:8] == b"eXIf"), chunks[-1]])


def test_a_png_whose_exif_follows_the_pixels(tmp_path):
    path = save(tmp_path / "cat/a.png", 6)
    path.write_bytes(late_exif(path.read_bytes()))
    assert path.read_bytes().index(b"eXIf") > path.read_bytes().index(b"IDAT")
    source = ImageNet(tmp_path)
    (item,) = source.items()
    assert source.shape(item) == source.read(item).image.shape == (3, 32, 16)
    assert np.abs(read_rgb(path, None, 2**30) - seen(path)).max() < 0.02
    assert size_of(BytesIO(path.read_bytes())) == (32, 16)


def test_pixels_are_not_decoded_for_the_size(tmp_path):
    path = save(tmp_path / "a.png", 6)
    for data in (path.read_bytes(), late_exif(path.read_bytes())):
        place = data.index(b"IDAT") + 4
        path.write_bytes(data[:place] + bytes(8) + data[place + 8 :])
        assert size_of(path) == (32, 16)


def test_a_jpeg_that_lies_turned_is_not_reduced_too_far(tmp_path):
    """Decoding at a fraction of the size is for the sides as they are stored."""
    rows = np.repeat(np.arange(64) // 4 % 2 * 255, 512).reshape(64, 512).astype(np.uint8)
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.fromarray(rows).save(tmp_path / "a.jpg", quality=95, exif=tag)
    pixels = read_rgb(tmp_path / "a.jpg", (4, 16), 2**30)
    assert np.abs(np.diff(pixels[..., 0], axis=1)).min() > 0.4


def test_one_file_is_turned_too(tmp_path):
    path = save(tmp_path / "a.png", 8)
    assert np.array_equal(np.moveaxis(read_file(path), 0, -1), (seen(path) * 255).astype(np.uint8))


def test_32_bits_have_no_range_from_0_to_1(tmp_path):
    for mode in ("I", "F"):
        Image.fromarray(np.full((4, 4), 7, {"I": np.int32, "F": np.float32}[mode])).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match="32 bits"):
            read_rgb(tmp_path / "a.tif", None, 2**30)


def test_programs_are_not_run(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n" * 20
    )
    with pytest.raises(DataError, match=r"a\.png: .*EPS is not a pixel format"):
        read_file(tmp_path / "cat/a.png")


def huge_png(side: int) -> bytes:
    """An image of `side` x `side` black pixels in a thousandth of their bytes."""
    packer = zlib.compressobj(9)
    line = bytes(1 + side)
    packed = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_more_than_the_limit_is_refused_by_the_header(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(2000))
    for size, needed in ((None, 12), ((8, 8), 4)):
        with pytest.raises(DataError, match=rf"its header says {needed * 4_000_000:,} bytes, more than"):
            read_rgb(tmp_path / "a.png", size, needed * 4_000_000 - 1)
        assert read_rgb(tmp_path / "a.png", size, needed * 4_000_000).max() == 0
