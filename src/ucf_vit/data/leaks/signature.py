"""Signature of an item's values, 56 bytes: an exact hash, and what altered copies have in common.

| part | bytes | survives |
|---|---|---|
| hash of the values as float32 | 8 | compression, another format or number type |
| signs of details of the whole frame | 24 | flips, exchanged axes, windows, resampling, compression |
| hashes of local patterns | 24 | flips, exchanged axes, rising functions of the intensity, crops to 70 % |

Images at hand are compared with signatures: of an image all orientations and all patterns are known.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ucf_vit.data.leaks import frame, local

SIZE = 7
"""Number of int64 in a signature: the hash of the values, 3 for the frame, 3 for patterns."""
FRAME, PATTERNS = slice(1, 4), slice(4, 7)
AGREE = 0.89
"""Agreement of frames above which they are of the same image."""
COMMON = 2
"""Number of local patterns in common that tells a part of the same image."""
Signature = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Look:
    """Image at hand: its signature, its frame in all orientations, and all of its patterns."""

    signature: Signature
    frames: NDArray[np.float32]
    patterns: local.Hashes


def look(image: NDArray[Any]) -> Look:
    """Returns what an image `[C, *S]` is compared by; a constant image is equal to no other."""
    signature = np.zeros(SIZE, np.int64)
    image = np.asarray(image)
    flat = image.reshape(-1)
    if flat.size == 0 or bool((flat == flat[0]).all()):
        nothing = np.zeros((1, frame.BITS), np.float32)
        return Look(signature, nothing, np.zeros(0, np.uint32))
    thumbnail = frame.thumbnail(image)
    patterns, cost = local.hashes(image)
    signature[0] = values_hash(image)
    signature[FRAME] = frame.bits(thumbnail).view(np.int64)
    signature[PATTERNS] = local.selected(patterns, cost).view(np.int64)
    return Look(signature, frame.weights(thumbnail), np.unique(patterns))


def values_hash(image: NDArray[Any]) -> int:
    """Returns a hash of 8 bytes, never 0, of the shape and the values of an image as float32."""
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=8)
    for channel in image:
        for part in channel:
            digest.update((np.asarray(part, np.float32, order="C") + np.float32(0)).tobytes())  # -0 is 0
    return int.from_bytes(digest.digest(), "little", signed=True) or 1


class Signatures:
    """Signatures `[N, 7]` that images are compared with."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.values = rows[:, 0]
        packed = np.ascontiguousarray(rows[:, FRAME]).view(np.uint8)
        signs = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
        self._signs = signs * packed.any(1, keepdims=True)
        self._patterns = np.ascontiguousarray(rows[:, PATTERNS]).view(np.uint32)

    def near(self, other: Look) -> NDArray[np.bool_]:
        """Returns a mask `[N]` of the signatures of the same image or of a part of it."""
        return (self.agreement(other) >= AGREE) | (self.in_common(other) >= COMMON)

    def agreement(self, other: Look) -> NDArray[np.float32]:
        """Returns how far the frames agree, in the best orientation, `[N]` from 0 to 1."""
        agreements: NDArray[np.float32] = np.abs(self._signs @ other.frames.T).max(1, initial=0)
        return agreements

    def in_common(self, other: Look) -> NDArray[np.int64]:
        """Returns the number of patterns in common, `[N]`."""
        counts: NDArray[np.int64] = (np.isin(self._patterns, other.patterns) & (self._patterns > 0)).sum(1)
        return counts
