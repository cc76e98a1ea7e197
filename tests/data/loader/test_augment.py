"""Augmentation: drawn from the key alone, the label goes with the image, nothing is invented."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandAffined

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.augment import AUGMENTATIONS, Augmentation
from ucf_vit.data.loader.stream import Stream

CUBE = np.arange(6 * 6 * 6).reshape(6, 6, 6)


def turned(augmentation: Augmentation, key: int, array: np.ndarray, dims: int = 3) -> np.ndarray:
    return augmentation.turn(key, array.shape[-dims:])(array)


def test_orientations_depend_on_the_key_only_and_all_occur():
    cube = AUGMENTATIONS["segmentation"]((6, 6, 6))
    seen = [turned(cube, key, CUBE).tobytes() for key in range(400)]
    assert seen == [turned(cube, key, CUBE).tobytes() for key in range(400)]
    assert len(set(seen)) == 48  # the positions of a cube, mirrored or not


def test_axes_of_different_length_are_not_exchanged():
    array = np.zeros((6, 5, 6))
    for key in range(50):
        assert turned(AUGMENTATIONS["segmentation"]((6, 5, 6)), key, array).shape == (6, 5, 6)


@pytest.mark.parametrize("key", range(5))
def test_image_and_label_turn_alike(key):
    turn = AUGMENTATIONS["segmentation"]((6, 6, 6)).turn(key, (6, 6, 6))
    assert np.array_equal(turn(CUBE[None] * 2.0)[0], turn(CUBE) * 2)


def test_images_are_mirrored_left_to_right_only():
    image = np.arange(20).reshape(1, 4, 5)
    augmentation = AUGMENTATIONS["classification"]((4, 5))
    seen = {turned(augmentation, key, image, 2).tobytes() for key in range(50)}
    assert seen == {image.tobytes(), image[..., ::-1].tobytes()}


def finished(augmentation: Augmentation, key: int, image: np.ndarray) -> np.ndarray:
    out = image.copy()
    augmentation.finish(key, {"image": out})
    return out


@pytest.mark.parametrize(
    ("task", "size"), [("classification", (32, 24)), ("masked", (32, 24)), ("segmentation", (16, 12, 8))]
)
def test_values_change_with_the_key_but_not_by_much(task, size):
    rng = np.random.default_rng(0)
    image = rng.random((2, *size)).astype(np.float32)
    augmentation = AUGMENTATIONS[task](size)
    results = [finished(augmentation, key, image) for key in range(30)]
    assert all(np.array_equal(a, finished(augmentation, key, image)) for key, a in enumerate(results))
    assert len({a.tobytes() for a in results}) > 10
    for result in results:
        assert np.isfinite(result).all()
        assert abs(result.mean() - image.mean()) < 0.2
        if task != "segmentation":
            assert image.min() - 1e-5 <= result.min() and result.max() <= image.max() + 1e-5


def test_masked_volumes_only_turn():
    assert AUGMENTATIONS["masked"]((8, 8, 8)) == Augmentation(flips=(0, 1, 2))


@pytest.fixture
def data(ct, scratch):
    return build_dataset(
        "ct",
        "basic_ct",
        ct,
        tile_size=(8, 8, 8),
        overlap=0.5,
        normalization={"kind": "none"},
        scratch=scratch,
    )


def test_tiles_are_those_without_augmentation_turned(data):
    plain = list(Stream([data], batch_size=4, seed=0))
    augmented = list(Stream([data], batch_size=4, seed=0, augmentation="masked"))
    changed = 0
    for before, after in zip(plain, augmented, strict=True):
        assert torch.equal(before.keys, after.keys)
        for pair in ("image", "label"):
            one, two = getattr(before, pair), getattr(after, pair)
            assert torch.equal(one.flatten(1).sort().values, two.flatten(1).sort().values)
        changed += not torch.equal(before.image, after.image)
        for image, label, old, mark in zip(after.image, after.label, before.image, before.label, strict=True):
            where = {value: place for place, value in enumerate(old.flatten().tolist())}
            assert label.flatten().tolist() == [
                mark.flatten()[where[v]].item() for v in image.flatten().tolist()
            ]
    assert changed > len(plain) / 2


@pytest.mark.parametrize("layout", [{"num_workers": 2}, {"ranks": 2}])
def test_neither_workers_nor_ranks_change_what_a_tile_gets(data, layout):
    def tiles(**options) -> dict[int, torch.Tensor]:
        streams = [
            Stream([data], seed=0, augmentation="segmentation", rank=rank, **options)
            for rank in range(options.get("ranks", 1))
        ]
        batches = [batch for stream in streams for batch in stream]
        return {
            key: image
            for batch in batches
            for key, image in zip(batch.keys.tolist(), batch.image, strict=True)
        }

    expected, found = tiles(batch_size=4), tiles(batch_size=2, **layout)
    assert len(found) >= len(expected) - 1
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_any_monai_transform_of_image_and_label(data):
    affine = RandAffined(
        ["image", "label"], prob=1.0, translate_range=2, mode=("nearest", "nearest"), padding_mode="border"
    )
    stream = Stream([data], batch_size=4, seed=0, augmentation=Augmentation(transform=Compose([affine])))
    where = {}
    for batch in Stream([data], batch_size=4, seed=0):
        where |= dict(zip(batch.image.flatten().tolist(), batch.label.flatten().tolist(), strict=True))
    for batch in stream:
        assert batch.label.dtype == torch.int64
        assert [where[v] for v in batch.image.flatten().tolist()] == batch.label.flatten().tolist()
