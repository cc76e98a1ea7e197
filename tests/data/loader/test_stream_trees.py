"""Trees of adaptive patching that grow in the loader are those that would grow later."""

import pickle

import numpy as np
import pytest
import torch
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import examples
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patcher import AdaptivePatcher


@pytest.fixture
def photos(tmp_path, scratch) -> Dataset:
    """Colour images of noisy rectangles in two classes."""
    rng = np.random.default_rng(0)
    for number in range(10):
        picture = rng.integers(0, 60, (40, 40, 3))
        first, last = sorted(rng.integers(0, 40, (2, 2)).tolist())
        picture[first[0] : last[0] + 1, min(first[1], last[1]) : max(first[1], last[1]) + 1] += 150
        path = tmp_path / "photos" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.astype(np.uint8)).save(path)
    options = {"resize": [32, 32]}
    root = tmp_path / "photos"
    return build_dataset("photos", "imagenet", root, tile_size=(32, 32), options=options, scratch=scratch)


@pytest.fixture
def volumes(ct, scratch) -> Dataset:
    return build_dataset("ct", "basic_ct", ct, tile_size=(8, 8, 8), num_classes=3, scratch=scratch)


def patcher(dims: int, **options) -> AdaptivePatcher:
    """With all that can be drawn at random."""
    drawn = {"detail_smoothing": (1, 3, 5), "canny_low": (10, 60), "canny_high": (80, 200)}
    tile, length = ((32, 32), 40) if dims == 2 else ((8, 8, 8), 29)
    return AdaptivePatcher(tile_size=tile, patch_size=4, **{"fixed_length": length, **drawn, **options})


def same(a: Leaves, b: Leaves) -> bool:
    pairs = [(a.start, b.start), (a.sides, b.sides)]
    if a.valid is None or b.valid is None:
        assert a.valid is b.valid is None
    else:
        pairs.append((a.valid, b.valid))
    return a.trees == b.trees and a.forest == b.forest and all(torch.equal(x, y) for x, y in pairs)


OPTIONS = [
    {},
    {"separate_channels": True},
    {"split_rule": "threshold", "split_threshold": 5.0},
    {"split_rule": "threshold", "split_threshold": 0.0, "split_overflow": "drop", "separate_channels": True},
    {"fixed_length": 30},
]
"""There is no tree of 30 leaves."""


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("kind", ["photos", "volumes"])
def test_trees_grow_in_any_process_alike(kind, options, workers, request):
    data, tree = request.getfixturevalue(kind), patcher(2 if kind == "photos" else 3, **options)
    stream = Stream([data], batch_size=4, seed=0, augmentation="masked", num_workers=workers, patcher=tree)
    for batch in stream:
        leaves = batch.leaves
        assert same(leaves, tree.grow(batch.image, batch.keys))
        assert (leaves.valid is None) == tree.all_valid == (options in OPTIONS[:2])
        assert leaves.start.dtype == leaves.level.dtype == torch.int64 and leaves.start.is_contiguous()
        assert len(leaves.level) == len(batch) * leaves.trees and leaves.length == tree.length
    stream.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_held_out_tiles_use_the_middle_of_random_parameters(photos, workers):
    tree, options = patcher(2), {"batch_size": 4, "seed": 0, "shuffle": False, "num_workers": workers}
    stream = Stream([photos], patcher=tree, draw_trees=False, **options)
    batches = list(stream)
    assert all(same(batch.leaves, tree.grow(batch.image)) for batch in batches)
    assert not all(same(batch.leaves, tree.grow(batch.image, batch.keys)) for batch in batches)
    stream.close()


def test_rows_left_out_take_their_leaves_with_them(ct, scratch):
    bad = np.zeros((16, 8, 11), np.float32)
    bad[3, 4, 5] = np.nan
    save_nifti(ct / "imagesTr" / "v2.nii", bad)
    data = build_dataset("ct", "basic_ct", ct, tile_size=(8, 8, 8), scratch=scratch)
    for workers in (0, 1):
        options = {"shuffle": False, "on_error": "skip", "num_workers": workers}
        stream = Stream([data], batch_size=3, seed=0, patcher=patcher(3), **options)
        batches = list(stream)
        assert [len(batch) for batch in batches] == [2, 2, 2] and len(data) == 8
        assert all(same(batch.leaves, patcher(3).grow(batch.image, batch.keys)) for batch in batches)


def test_the_loader_goes_on_with_the_same_trees_and_its_state_does_not_know_them(volumes):
    whole = [batch.leaves for batch in Stream([volumes], batch_size=2, seed=0, patcher=patcher(3))]
    first = Stream([volumes], batch_size=2, seed=0, num_workers=1, patcher=patcher(3))
    for _ in first:
        if first.position == 2:
            break
    state = first.state_dict()
    second = Stream([volumes], batch_size=2, seed=0, patcher=patcher(3))
    second.load_state_dict(state)
    left = [batch.leaves for batch in second]
    assert all(same(a, b) for a, b in zip(whole[2:], left, strict=True))
    assert all(batch.leaves is None for batch in _from(state, volumes))


def _from(state, data):
    stream = Stream([data], batch_size=2, seed=0)
    stream.load_state_dict(state)
    return stream


def test_single_channels_and_slices(tmp_path, scratch):
    volume = np.random.default_rng(0).random((8, 8, 8, 2), np.float32)
    save_nifti(tmp_path / "mr" / "imagesTr" / "m.nii", volume)
    options = {"variables": ["t1", "t2"], "labels": False, "scratch": scratch}
    data = build_dataset("mr", "basic_ct", tmp_path / "mr", tile_size=(8, 8), **options)
    tree = AdaptivePatcher(tile_size=(8, 8), patch_size=2, fixed_length=7, separate_channels=True)
    for single, trees in ((True, 1), (False, 2)):
        batches = list(Stream([data], batch_size=3, seed=0, single_channel=single, patcher=tree))
        assert all(batch.leaves.trees == trees for batch in batches)
        assert all(same(batch.leaves, tree.grow(batch.image, batch.keys)) for batch in batches)


@pytest.mark.parametrize("dims", [2, 3])
def test_patchers_can_be_sent_to_spawned_workers(dims):
    tree, image = patcher(dims), torch.rand(2, 1, *[(32, 32), (8, 8, 8)][dims - 2])
    keys = torch.arange(2)
    assert same(pickle.loads(pickle.dumps(tree)).grow(image, keys), tree.grow(image, keys))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_detail_that_fails_is_one_message(volumes, tmp_path, workers):
    file = tmp_path / "mine.py"
    file.write_text("def bad(image, keys, separate):\n    return image[:, :1] - 1e9\n")
    tree = patcher(3, detail=f"{file}:bad")
    with pytest.raises(DataError, match=r"mine\.py:bad: expected values >= 0") as caught:
        list(Stream([volumes], batch_size=4, seed=0, num_workers=workers, patcher=tree))
    assert "\n" not in str(caught.value)


def test_leaves_move_with_their_batch(volumes):
    batch = next(iter(Stream([volumes], batch_size=2, seed=0, patcher=patcher(3))))
    moved = batch.to("meta").leaves
    assert moved.start.is_meta and moved.level.is_meta and moved.trees == batch.leaves.trees


@pytest.mark.parametrize("single", [False, True])
def test_one_example_of_each_data_set(volumes, photos, ct, single):
    nan = np.full((12, 9, 8), np.nan, np.float32)
    save_nifti(ct / "imagesTr" / "v0.nii", nan)
    ct_example, photo = examples([volumes, photos], single)
    assert ct_example.dataset == "ct" and ct_example.files == (volumes.items[1].image,)
    assert ct_example.image.shape == (1, 1, 8, 8, 8) and ct_example.label.shape == (1, 8, 8, 8)
    assert photo.image.shape == (1, 1 if single else 3, 32, 32) and photo.label.shape == (1,)
    assert len(photo.variables) == photo.image.shape[1] and photo.leaves is None


def test_an_example_is_taken_from_the_middle(ct, scratch):
    data = build_dataset(
        "ct", "basic_ct", ct, tile_size=(4, 4, 4), normalization={"kind": "none"}, scratch=scratch
    )
    (batch,) = examples([data])
    counts = data.tilings[0].counts
    x, y, z = (4 * (count // 2) for count in counts)
    assert counts == (3, 2, 2) and batch.image[0, 0, 0, 0, 0] == 400 * x + 20 * y + z
