"""`keep_orientation` takes flips and rotations out of an augmentation, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.augment import Augmentation
from ucf_vit.data.loader.stream import Stream


def read(root: Path, augmentation: Augmentation | None, keep: bool) -> np.ndarray:
    dataset = build_dataset("d", "basic_ct", root, tile_size=(32, 32, 32))
    stream = Stream([dataset], batch_size=4, seed=0, augmentation=augmentation, keep_orientation=keep)
    return next(iter(stream)).image.numpy()


@pytest.mark.parametrize("augmentation", [Augmentation(flips=(0, 1, 2)), Augmentation(exchange=True)])
def test_tiles_are_not_turned(concrete: Path, augmentation: Augmentation) -> None:
    plain = read(concrete, None, keep=False)
    assert np.array_equal(read(concrete, augmentation, keep=True), plain)
    assert not np.array_equal(read(concrete, augmentation, keep=False), plain)
