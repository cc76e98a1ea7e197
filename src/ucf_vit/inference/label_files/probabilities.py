"""Files of probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.files.atomic_files import replace_atomic

PROBABILITIES = ".npz"
"""Suffix of the files of probabilities."""


def write_probabilities(path: Path, probabilities: NDArray[np.float16]) -> None:
    """Writes the array "probabilities" `[K, *S]` float16, in the order of axes of the labels."""
    with replace_atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, probabilities=probabilities)
