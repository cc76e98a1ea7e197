"""Samples with more arrays than image and label: each is augmented, padded and batched by its kind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.loader import array_source
from ucf_vit.core.errors import DataError
from ucf_vit.data.arrays import ArraySpec
from ucf_vit.data.batch import Batch
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.check_dataset import check_arrays
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.augment import AUGMENTATIONS, Augmentation
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import examples, volumes
from ucf_vit.data.prepare.conversion import Conversion, Origin, StorageOptions
from ucf_vit.data.values.label_map import LabelMap
from ucf_vit.patching.tree.patcher import AdaptivePatcher

SOURCE = f"{array_source.__file__}:Grids"
ALL = Augmentation(flips=(0, 1), exchange=True)
TILE = (8, 8)


def dataset(tmp_path: Path, scratch, **options) -> Dataset:
    options.setdefault("num_classes", 3)
    options.setdefault("label_mapping", None)
    fault = options.pop("fault", "")
    return build_dataset(
        "d", SOURCE, tmp_path, tile_size=TILE, options={"fault": fault}, scratch=scratch, **options
    )


def samples(batches: list[Batch]) -> dict[int, dict[str, np.ndarray]]:
    """The arrays of each sample, by its key."""
    return {
        key: {name: array[row].numpy() for name, array in batch.arrays.items()}
        for batch in batches
        for row, key in enumerate(batch.keys.tolist())
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_arrays_of_all_kinds_are_turned_together(tmp_path, scratch, workers):
    stream = Stream([dataset(tmp_path, scratch)], batch_size=3, seed=0, augmentation=ALL, num_workers=workers)
    batches = [batch for _ in range(2) for batch in stream]
    stream.close()
    assert {name: a.dtype for name, a in batches[0].arrays.items()} == {
        "image": torch.float32,
        "label": torch.int64,
        "mask": torch.bool,
        "level": torch.int64,
        "target": torch.float32,
        "view": torch.float32,
    }
    assert batches[0].kinds == {"mask": "mask", "level": "label", "target": "number", "view": "image"}
    corners = set()
    for one in samples(batches).values():
        image, number = one["image"], int(one["image"].max()) // 10_000
        side = 6 if number == 4 else 8
        inside = np.pad(np.ones((1, side, side), bool), ((0, 0), (0, 8 - side), (0, 8 - side)))
        assert np.array_equal(one["label"], np.where(inside[0], image[0] % 3, 0))
        assert np.array_equal(one["mask"], inside & (image % 2 == 0)) and one["mask"].shape == (1, 8, 8)
        assert np.array_equal(one["level"], np.where(inside[0], image[0] // 100 % 100, 0))
        assert np.array_equal(one["target"], np.linspace(0, number, 7).astype(np.float32))
        assert one["view"].shape == (1, 4, 4)
        steps = [(a[0, 1, 0] - a[0, 0, 0], a[0, 0, 1] - a[0, 0, 0]) for a in (image, one["view"])]
        assert steps[0] == steps[1] and set(one["view"].flat) <= set(image.flat)
        corners.add(steps[0])
    assert len(corners) == 8, "all orientations of a square"


def test_workers_change_nothing(tmp_path, scratch):
    data = dataset(tmp_path, scratch)
    one, other = (
        samples(list(Stream([data], batch_size=3, seed=1, augmentation=ALL, num_workers=workers)))
        for workers in (0, 2)
    )
    assert one.keys() == other.keys() and len(one) == 4 * 4 + 1
    for key, arrays in one.items():
        assert all(np.array_equal(array, other[key][name]) for name, array in arrays.items())


def test_trees_grow_beside_an_array_of_any_name(tmp_path, scratch):
    data, patcher = dataset(tmp_path, scratch), AdaptivePatcher(tile_size=TILE, patch_size=2, fixed_length=10)
    one, other = (
        list(Stream([data], batch_size=3, seed=1, patcher=grows, num_workers=1)) for grows in (None, patcher)
    )
    assert all(torch.equal(a.arrays["level"], b.arrays["level"]) for a, b in zip(one, other, strict=True))
    assert all(len(batch.leaves.sides) == len(batch) for batch in other)


def test_a_crop_cuts_masks_and_labels_as_the_image():
    rng, size = np.random.default_rng(0), (32, 32)
    recipe = AUGMENTATIONS["classification"](
        size, {"image": "bilinear", "mask": "nearest", "label": "nearest"}
    )
    changed = 0
    for key in range(8):
        edge = rng.integers(8, 24)
        plain = np.broadcast_to(np.arange(32) < edge, size)
        image, mask = plain[None].astype(np.float32), plain[None].copy()
        label, number = plain * 5, np.arange(3.0)
        recipe.finish(key, {"image": image, "mask": mask, "label": label, "view": image[:, :4]})
        assert np.abs(image[0] - mask[0]).mean() < 0.03 and mask.dtype == bool
        assert np.array_equal(label, mask[0] * 5) and number.tolist() == [0, 1, 2]
        changed += (mask[0] != plain).any()
    assert changed > 5


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", r"read the arrays .*, the source declares .*'mask': \(1, 8, 8\)"),
        ("undeclared", r"read the arrays .*'other'.*the source declares"),
        ("shape", r"'target': \(6,\).*the source declares .*'target': \(7,\)"),
        ("level=0.5", r"array 'level' holds values that are not integers"),
        ("level=1e30", r"array 'level' holds values that are not integers"),
        ("mask=nan", r"array 'mask' holds NaN"),
        ("view=inf", r"array 'view' holds NaN, infinite values"),
        ("target=1e60", r"array 'target' holds infinite values, or values too large"),
    ],
)
def test_arrays_that_can_not_be_used_are_named_or_replaced(tmp_path, scratch, fault, message):
    data = dataset(tmp_path, scratch, fault=fault)
    with pytest.raises(DataError, match=rf"1\.grid: .*{message}"):
        list(Stream([data], batch_size=3, seed=0))
    stream = Stream([data], batch_size=3, seed=0, on_error="skip", num_workers=1)
    batches = list(stream)
    stream.close()
    assert [one.file for one in stream.skipped] == ["1.grid"]
    assert sum(map(len, batches)) == 4 * 4 + 1
    for one in samples(batches).values():
        assert one["image"].max() < 10_000 or one["image"].max() >= 20_000
        assert np.isfinite(one["target"]).all() and one["target"].max() != 1


def test_nan_is_allowed_in_numbers(tmp_path, scratch):
    batches = list(Stream([dataset(tmp_path, scratch, fault="target=nan")], batch_size=3, seed=0))
    assert sum(int(batch.arrays["target"].isnan().any(1).sum()) for batch in batches) == 4


def test_whole_items_and_examples_have_them_too(tmp_path, scratch, monkeypatch):
    data = dataset(tmp_path, scratch)
    whole = list(volumes([data]))
    assert [tuple(batch.arrays["mask"].shape) for batch in whole] == [(1, 1, 20, 20)] * 4 + [(1, 1, 6, 6)]
    assert all(torch.equal(batch.arrays["mask"], batch.image % 2 == 0) for batch in whole)
    (one,) = examples([data])
    assert (
        torch.equal(one.arrays["level"], one.image[:, 0].long() // 100 % 100) and one.kinds == whole[0].kinds
    )


def test_all_arrays_move_to_the_device(tmp_path, scratch):
    batch = next(iter(Stream([dataset(tmp_path, scratch)], batch_size=3, seed=0)))
    moved = batch.to("meta")
    assert {array.device.type for array in moved.arrays.values()} == {"meta"}
    assert moved.arrays.keys() == batch.arrays.keys() and moved.kinds == batch.kinds


def test_labels_are_mapped_but_other_arrays_are_not(tmp_path, scratch):
    data = dataset(tmp_path, scratch, label_mapping={0: 1, 1: 1, 2: 1})
    assert data.label_map == LabelMap.of({0: 1, 1: 1, 2: 1})
    batches = list(Stream([data], batch_size=3, seed=0))
    assert {int(v) for batch in batches for v in batch.label.unique()} <= {0, 1}
    assert max(int(batch.arrays["level"].max()) for batch in batches) == 15


def test_sources_with_further_arrays_are_not_prepared(tmp_path):
    origin = Origin.of(SOURCE, str(tmp_path), None, {})
    with pytest.raises(DataError, match=r"it also has mask, level, target, view; only images"):
        Conversion.of(origin, origin.make(), StorageOptions())


def test_declarations_are_checked(tmp_path, scratch):
    with pytest.raises(DataError, match="expected one of image, label, mask, number"):
        ArraySpec("picture")
    with pytest.raises(DataError, match="only images can have one"):
        ArraySpec("mask", (1,), (4, 4))
    source = dataset(tmp_path, scratch).source
    for arrays, message in [
        ({"label": ArraySpec("mask")}, "an array named 'label'"),
        ({"a.b": ArraySpec("mask")}, "an array named 'a.b'"),
        ({"view": ArraySpec("image", (1,), (4, 4, 4))}, r"'view' has the size \(4, 4, 4\); expected 2 axes"),
    ]:
        source.arrays = arrays
        with pytest.raises(DataError, match=message):
            check_arrays("d", source, TILE)


def test_axes_of_a_view_must_be_exchangeable(tmp_path, scratch):
    data = dataset(tmp_path, scratch)
    data.source.arrays = {"view": ArraySpec("image", (1,), (4, 2))}
    with pytest.raises(DataError, match=r"'view' has the size \(4, 2\) beside tiles of \(8, 8\)"):
        Stream([data], batch_size=3, seed=0, augmentation=ALL)
    assert len(Stream([data], batch_size=3, seed=0, augmentation=ALL, keep_orientation=True)) == 6
