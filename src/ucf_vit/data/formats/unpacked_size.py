"""Size of compressed data after unpacking, determined before a library without a limit unpacks it."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from ucf_vit.data.limits import check_size

_BLOCK = 2**20
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 2**17
_STREAMS: dict[bytes, tuple[int, Callable[[], Any]]] = {
    b"\x1f\x8b": (1032, lambda: zlib.decompressobj(wbits=31)),
    b"\x78\x01": (1032, zlib.decompressobj),
    b"\x78\x5e": (1032, zlib.decompressobj),
    b"\x78\x9c": (1032, zlib.decompressobj),
    b"\x78\xda": (1032, zlib.decompressobj),
    b"BZh": (2**20, bz2.BZ2Decompressor),
    b"\xfd7zXZ": (2**16, lzma.LZMADecompressor),
}
"""By first bytes: the largest number of bytes that one byte can unpack to, and an incremental unpacker."""
_PICTURES = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"\x00\x00\x00\x0cjP", b"\xff\x4f\xff\x51")
"""First bytes of JPEG, PNG, WebP and JPEG 2000, which have headers of their own."""


def check_unpacked(name: str, packed: bytes, limit: int) -> None:
    """Raises DataError where `packed` (Zstandard, gzip, zlib, bzip2 or xz) unpacks to more than `limit`
    bytes.

    Data is unpacked for counting only where it is long enough to exceed the limit, and nothing is kept. The
    size of an image in JPEG, PNG, WebP or JPEG 2000 is the one in its own header, whatever a file around it
    says.
    """
    if packed.startswith(_PICTURES):
        check_size(name, _picture_size(packed), limit)
        return
    if packed.startswith(_ZSTD):
        check_size(name, zstd_size(packed), limit)
        return
    for start, (most, stream) in _STREAMS.items():
        if packed.startswith(start) and len(packed) * most > limit:
            _count(name, packed, stream, limit)


def _count(name: str, packed: bytes, stream: Callable[[], Any], limit: int) -> None:
    size = 0
    while packed:
        unpacker = stream()
        while not unpacker.eof:
            piece = unpacker.decompress(packed, _BLOCK)
            size += len(piece)
            check_size(name, size, limit)
            packed = getattr(unpacker, "unconsumed_tail", b"")
            if not (piece or packed):
                return
        packed = unpacker.unused_data


def _picture_size(packed: bytes) -> int:
    """Returns the bytes by the header; 0 where it is damaged, which the decoder reports."""
    try:
        with Image.open(BytesIO(packed)) as image:
            wide = image.mode.startswith(("I", "F"))
            return image.width * image.height * (4 if wide else len(image.getbands()))
    except (OSError, ValueError, SyntaxError):
        return 0


def zstd_size(packed: bytes) -> int:
    """Returns the bytes of the first frame from its header, else an upper bound from its blocks (RFC 8878).

    Raises ValueError where there is no frame.
    """
    if len(packed) < 6 or not packed.startswith(_ZSTD):
        raise ValueError("its data is not compressed by Zstandard")
    descriptor, place = packed[4], 5
    single = bool(descriptor & 0x20)
    place += (not single) + (0, 1, 2, 4)[descriptor & 3]
    width = (int(single), 2, 4, 8)[descriptor >> 6]
    if width:
        return int.from_bytes(packed[place : place + width], "little") + (256 if width == 2 else 0)
    size, last = 0, False
    while not last and place + 3 <= len(packed):
        block = int.from_bytes(packed[place : place + 3], "little")
        last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
        size += _ZSTD_BLOCK if kind == 2 else length
        place += 3 + (1 if kind == 1 else length)
    return size
