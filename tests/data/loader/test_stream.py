"""The loader: what batches hold, that each tile comes once, that it can be taken up anywhere."""

import json
from dataclasses import replace
from itertools import islice

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nifti_files import save_nifti

from ucf_vit.core.errors import CheckpointError, DataError
from ucf_vit.data.batch import Batch
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.whole_items import volumes

PLAIN = {"kind": "none"}


@pytest.fixture
def data(ct, scratch) -> Dataset:
    return build_dataset(
        "ct",
        "basic_ct",
        ct,
        tile_size=(8, 8, 8),
        overlap=0.5,
        use_all=True,
        normalization=PLAIN,
        num_classes=3,
        buffer_size=10,
        scratch=scratch,
    )


def summary(batch: Batch) -> tuple:
    label = None if batch.label is None else batch.label.sum().item()
    return (
        batch.dataset,
        batch.variables,
        batch.files,
        batch.keys.tolist(),
        batch.image.double().sum().item(),
        label,
    )


def corner(image: torch.Tensor) -> float:
    """The first voxel: with the volumes of the fixture it says where the tile comes from."""
    return image.flatten()[0].item()


def test_every_tile_comes_once_with_its_own_label(data):
    found = {}
    for batch in Stream([data], batch_size=4, seed=0):
        assert batch.image.dtype == torch.float32 and batch.label.dtype == torch.int64
        assert batch.image.shape[1:] == (1, 8, 8, 8) and batch.label.shape[1:] == (8, 8, 8)
        for image, label, file in zip(batch.image, batch.label, batch.files, strict=True):
            found[corner(image)] = (image[0].numpy(), label.numpy(), file)
    assert len(found) == len(data) == 33
    for tile in range(len(data)):
        number, k = data.locate(tile)
        item, region = data.items[number], data.tilings[number].region(k)
        expected = nibabel.load(item.image).get_fdata()[region]
        image, label, file = found[corner(torch.tensor(expected))]
        assert file == item.image
        assert np.array_equal(image, expected)
        assert np.array_equal(label, nibabel.load(item.label).get_fdata()[region])


def test_union_over_ranks_is_the_data_set_reshuffled_every_epoch(data):
    orders = []
    for _ in range(2):
        streams = [Stream([data], batch_size=2, seed=0, rank=rank, ranks=3) for rank in range(3)]
        for stream in streams:
            stream.epoch = len(orders)
        batches = list(zip(*streams, strict=True))
        tiles = [corner(image) for shares in batches for batch in shares for image in batch.image]
        assert len(tiles) == len(set(tiles)) == 33
        orders.append(tiles)
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_two_ranks_see_the_global_batches_of_one_process(data):
    alone = Stream([data], batch_size=4, seed=7)
    ranks = [Stream([data], batch_size=2, seed=7, rank=rank, ranks=2) for rank in range(2)]
    assert [len(stream) for stream in (alone, *ranks)] == [9, 9, 9]
    for whole, *shares in zip(alone, *ranks, strict=True):
        own = [share for share in shares if share.counts]  # the last of 33 tiles is only one
        assert torch.equal(whole.image, torch.cat([share.image for share in own]))
        assert torch.equal(whole.keys, torch.cat([share.keys for share in own]))
        assert {share.mean_size for share in shares} == {len(whole) / 2}
        assert sum(share.weight for share in shares) == len(whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(data, workers):
    expected = [summary(batch) for batch in _epochs(Stream([data], batch_size=3, seed=0), 2)]
    stream = Stream([data], batch_size=3, seed=0, num_workers=workers)
    assert [summary(batch) for batch in _epochs(stream, 2)] == expected


def _epochs(stream: Stream, count: int) -> list[Batch]:
    return [batch for _ in range(count) for batch in stream]


def test_batches_are_not_overwritten_by_later_ones(data):
    stream = Stream([data], batch_size=3, seed=0, num_workers=1)
    kept = [(batch, summary(batch)) for batch in _epochs(stream, 2)]
    assert all(summary(batch) == then for batch, then in kept)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 25), st.sampled_from([(0, 2), (2, 0), (1, 2), (0, 0)]))
def test_resuming_anywhere_gives_exactly_the_batches_left_also_with_other_workers(data, steps, workers):
    expected = [summary(batch) for batch in _epochs(Stream([data], batch_size=3, seed=0), 4)]
    first = Stream([data], batch_size=3, seed=0, num_workers=workers[0])
    seen: list[tuple] = []
    while len(seen) < steps:
        for batch in first:
            seen.append(summary(batch))
            if len(seen) == steps:
                break
    state = json.loads(json.dumps(first.state_dict()))
    second = Stream([data], batch_size=3, seed=0, num_workers=workers[1])
    second.load_state_dict(state)
    while len(seen) < len(expected):
        seen += [summary(batch) for batch in second]
    assert seen == expected


def test_resuming_on_another_number_of_ranks(data):
    alone = Stream([data], batch_size=3, seed=0)
    whole = list(alone)
    for _ in alone:
        if alone.position == 3:
            break
    expected = [summary(batch) for batch in alone]
    assert len(whole) == 11
    ranks = [Stream([data], batch_size=1, seed=0, rank=rank, ranks=3) for rank in range(3)]
    for stream in ranks:
        stream.load_state_dict({**alone.state_dict(), "epoch": 1, "position": 3})
    for batch, shares in zip(expected, zip(*ranks, strict=True), strict=True):
        assert batch[3] == [share.keys.item() for share in shares]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 4)), min_size=2, max_size=4),
    st.sampled_from([0, 0, 0, 1]),
)
def test_an_epoch_goes_on_with_other_batches_and_ranks(data, changes, workers):
    """Tiles of the epoch once each; then an epoch as usual."""
    state, tiles = None, []
    for turn, (batch_size, ranks, steps) in enumerate(changes):
        layout = {"batch_size": batch_size, "seed": 0, "ranks": ranks}
        streams = [Stream([data], rank=rank, num_workers=workers, **layout) for rank in range(ranks)]
        for stream in streams:
            if state is not None:
                stream.load_state_dict(state)
        assert len({stream.left for stream in streams}) == 1
        stop = streams[0].left if turn == len(changes) - 1 else min(steps, streams[0].left)
        for stream in streams:
            for batch in islice(stream, stop):
                tiles += [corner(image) for image in batch.image if batch.counts]
        state = json.loads(json.dumps(streams[0].state_dict()))
    assert len(set(tiles)) == len(tiles) == 33
    list(streams[0])
    usual = Stream([data], **layout)
    usual.epoch = streams[0].epoch
    assert usual.epoch == 1
    assert [summary(batch) for batch in streams[0]] == [summary(batch) for batch in usual]
    for stream in streams:
        stream.close()


def test_an_epoch_in_order_goes_on_with_the_same_ranks_and_batches_only(data):
    state = Stream([data], batch_size=4, seed=0, shuffle=False).state_dict() | {"position": 3}
    same = Stream([data], batch_size=4, seed=0, shuffle=False)
    same.load_state_dict(state)
    assert sum(map(len, same)) == 33 - 12
    with pytest.raises(CheckpointError, match=r"the global batch .* was 4, is now 3"):
        Stream([data], batch_size=3, seed=0, shuffle=False).load_state_dict(state)
    with pytest.raises(CheckpointError, match="the number of ranks was 1, is now 2"):
        Stream([data], batch_size=2, seed=0, ranks=2, shuffle=False).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "the seed .trainer.seed. was 0, is now 1"),
        ({"datasets": "fewer"}, "the number of tiles .* was 'ct: 33', is now 'ct: 4'"),
        ({"datasets": "renamed"}, "the names of all items"),
        ({"datasets": "buffer"}, "data.dict_buffer_sizes. was 'ct: .*', is now 'ct: 7'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(data, ct, scratch, change, message):
    state = Stream([data], batch_size=3, seed=0).state_dict()
    other = dict(change)
    fewer = build_dataset(
        "ct", "basic_ct", ct, tile_size=(8,) * 3, overlap=0.5, use_all=True, end=0.2, scratch=scratch
    )
    renamed = replace(data, items=tuple(replace(item, key=f"other_{item.key}") for item in data.items))
    sets = {"fewer": fewer, "renamed": renamed, "buffer": replace(data, buffer_size=7), None: data}
    datasets = [sets[other.pop("datasets", None)]]
    with pytest.raises(CheckpointError, match=message):
        Stream(datasets, **{"batch_size": 3, "seed": 0, **other}).load_state_dict(state)


def test_an_interrupted_epoch_resumes_where_it_stopped(data):
    stream = Stream([data], batch_size=3, seed=0, num_workers=2)
    expected = [summary(batch) for batch in _epochs(Stream([data], batch_size=3, seed=0), 3)]
    seen = []
    for stop in (2, 3, 100, 100, 100):
        for number, batch in enumerate(stream):
            seen.append(summary(batch))
            if number + 1 == stop:
                break
    assert (stream.epoch, stream.position) == (3, 0)
    assert seen == expected


def test_the_global_random_state_is_left_alone(data):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    for workers in (0, 1):
        list(Stream([data], batch_size=3, seed=0, num_workers=workers, augmentation="segmentation"))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_held_out_tiles_come_once_over_all_ranks_always_with_the_same_keys(data):
    for ranks in (1, 2, 5):
        streams = [
            Stream([data], batch_size=4, seed=0, rank=r, ranks=ranks, shuffle=False) for r in range(ranks)
        ]
        for _ in range(2):
            batches = [batch for stream in streams for batch in stream]
            tiles = [corner(image) for batch in batches for image in batch.image]
            assert len(tiles) == len(set(tiles)) == 33
            keys = dict(zip(tiles, torch.cat([batch.keys for batch in batches]).tolist(), strict=True))
            assert keys == (expected := locals().get("expected") or keys)
        assert [len(stream) for stream in streams] == [sum(1 for _ in stream) for stream in streams]


@pytest.mark.deep
def test_spawned_workers(data):
    expected = [summary(batch) for batch in Stream([data], batch_size=3, seed=0, augmentation="masked")]
    stream = Stream([data], batch_size=3, seed=0, augmentation="masked", num_workers=1, start_method="spawn")
    assert [summary(batch) for batch in stream] == expected


def test_slices_of_volumes(ct, scratch):
    data = build_dataset("ct", "basic_ct", ct, tile_size=(8, 8), normalization=PLAIN, scratch=scratch)
    found = {}
    for batch in Stream([data], batch_size=5, seed=0):
        assert batch.image.shape[1:] == (1, 8, 8) and batch.label.shape[1:] == (8, 8)
        found |= {corner(i): (i[0].numpy(), m.numpy()) for i, m in zip(batch.image, batch.label, strict=True)}
    assert len(found) == len(data)
    volume, label = (nibabel.load(path).get_fdata() for path in (data.items[2].image, data.items[2].label))
    image, marks = found[volume[8, 0, 10]]
    assert np.array_equal(image, volume[8:16, :8, 10])
    assert np.array_equal(marks, label[8:16, :8, 10])


def test_small_images_are_filled_up_with_zeros_at_their_end(ct, scratch):
    data = build_dataset(
        "ct", "basic_ct", ct, tile_size=(16, 16, 16), normalization={"kind": "zscore"}, scratch=scratch
    )
    seen = 0
    for batch in Stream([data], batch_size=2, seed=0):
        for image, label, file in zip(batch.image, batch.label, batch.files, strict=True):
            stored = nibabel.load(file).get_fdata()
            n = [min(16, size) for size in stored.shape]
            inside = np.zeros((16, 16, 16), bool)
            inside[: n[0], : n[1], : n[2]] = True
            expected = ((stored - stored.mean()) / stored.std())[: n[0], : n[1], : n[2]]
            assert np.allclose(image[0].numpy()[inside].reshape(n), expected, atol=1e-4)
            assert not image[0].numpy()[~inside].any() and not label.numpy()[~inside].any()
            seen += 1
    assert seen == len(data) == 6


@pytest.fixture
def channels(tmp_path, scratch) -> Dataset:
    rng = np.random.default_rng(0)
    root = tmp_path / "mr"
    for i in range(3):
        volume = rng.random((8, 8, 8 + 4 * i, 3)) * [1, 10, 100] + [0, 50, 0]
        save_nifti(root / "imagesTr" / f"m{i}.nii.gz", volume.astype(np.float32))
        save_nifti(root / "labelsTr" / f"m{i}.nii.gz", np.zeros(volume.shape[:3], np.uint8))
    return build_dataset(
        "mr", "basic_ct", root, tile_size=(8, 8, 4), variables=["t1", "t2", "flair"], scratch=scratch
    )


def test_4d_volumes_give_tiles_of_all_channels(channels):
    for batch in Stream([channels], batch_size=3, seed=0):
        assert batch.variables == ("t1", "t2", "flair")
        assert batch.image.shape[1:] == (3, 8, 8, 4)
        for image, file in zip(batch.image, batch.files, strict=True):
            stored = np.moveaxis(nibabel.load(file).get_fdata(), -1, 0)
            low, high = (f(stored, axis=(1, 2, 3)) for f in (np.min, np.max))
            scaled = (stored - low[:, None, None, None]) / (high - low)[:, None, None, None]
            starts = [
                z
                for z in range(0, stored.shape[-1], 4)
                if np.allclose(scaled[..., z : z + 4], image, atol=1e-5)
            ]
            assert len(starts) == 1


def test_single_channel_batches_hold_one_variable_each(channels):
    stream = Stream([channels], batch_size=2, seed=0, single_channel=True)
    seen = []
    for batch in stream:
        assert len(batch.variables) == 1 and batch.image.shape[1:] == (1, 8, 8, 4)
        seen += [(batch.variables[0], file) for file in batch.files]
    assert len(seen) == 3 * len(channels) == 27
    assert {variable: [v for v, _ in seen].count(variable) for variable in channels.variables} == {
        "t1": 9, "t2": 9, "flair": 9,
    }  # fmt: skip


def test_several_data_sets(data, channels):
    stream = Stream([data, channels], batch_size=3, seed=0)
    names = [batch.dataset for batch in stream]
    assert sorted(names) == ["ct"] * 11 + ["mr"] * 3 and len(stream) == 14


def test_images_with_classes(shared_data, scratch):
    data = build_dataset(
        "digits",
        "imagenet",
        shared_data / "sign_digits",
        tile_size=(32, 32),
        options={"resize": [32, 32]},
        num_classes=10,
        end=0.1,
        scratch=scratch,
    )
    batches = list(Stream([data], batch_size=8, seed=0, num_workers=1, augmentation="classification"))
    labels = torch.cat([batch.label for batch in batches])
    assert torch.bincount(labels).tolist() == [5] * 10
    assert batches[0].image.shape == (8, 3, 32, 32)
    for batch in batches:
        assert [file.split("/")[-2] for file in batch.files] == [str(label) for label in batch.label.tolist()]


@pytest.mark.parametrize("ranks", [3, 7, 16])
def test_no_class_is_dropped_whatever_the_number_of_ranks(shared_data, scratch, ranks):
    data = build_dataset(
        "digits",
        "imagenet",
        shared_data / "sign_digits",
        tile_size=(8, 8),
        options={"resize": [8, 8]},
        num_classes=10,
        end=0.2,
        scratch=scratch,
    )
    streams = [Stream([data], batch_size=2, seed=0, rank=rank, ranks=ranks) for rank in range(ranks)]
    labels = torch.cat([batch.label for stream in streams for batch in stream if batch.counts])
    assert len(labels) == 100
    assert set(labels.tolist()) == set(range(10))


def test_page_locking_is_left_out_without_a_device(data):
    batch = next(iter(Stream([data], batch_size=2, seed=0, pin_memory=True, num_workers=1)))
    assert batch.image.is_pinned() == torch.cuda.is_available()


def test_whole_held_out_items(data, channels):
    expected = [item.image for item in data.items]
    for ranks in (1, 4):
        parts = [list(volumes([data], rank=rank, ranks=ranks)) for rank in range(ranks)]
        assert sorted(batch.files[0] for part in parts for batch in part) == expected
        assert {len(part) for part in parts} <= {6 // ranks, -(-6 // ranks)}
    batch = next(volumes([channels]))
    assert batch.image.shape == (1, 3, 8, 8, 8) and batch.label.shape == (1, 8, 8, 8)
    assert batch.image.flatten(2).amin(2).tolist() == [[0, 0, 0]]
    assert batch.image.flatten(2).amax(2).tolist() == [[1, 1, 1]]
    assert [b.variables[0] for b in volumes([channels], single_channel=True)] == ["t1"] * 3 + ["t2"] * 3 + [
        "flair"
    ] * 3


def test_real_volumes_tile_for_tile(shared_data, scratch):
    data = build_dataset(
        "hippocampus",
        "basic_ct",
        shared_data / "msd_hippocampus",
        tile_size=(16, 16, 16),
        num_classes=3,
        end=0.2,
        scratch=scratch,
    )
    whole = {batch.files[0]: batch for batch in volumes([data])}
    for batch in Stream([data], batch_size=16, seed=0):
        for image, label, file in zip(batch.image, batch.label, batch.files, strict=True):
            assert image.min() >= 0 and image.max() <= 1 and label.max() <= 2
            tiles = whole[file].image[0].unfold(1, 16, 16).unfold(2, 16, 16).unfold(3, 16, 16)
            assert (tiles == image[:, None, None, None]).flatten(4).all(dim=-1).sum() == 1


def test_streams_without_tiles_are_errors(data, ct, scratch):
    with pytest.raises(DataError, match="no data set"):
        Stream([], batch_size=2, seed=0)
    empty = build_dataset("ct", "basic_ct", ct, tile_size=(8, 8, 8), start=0.5, end=0.5, scratch=scratch)
    with pytest.raises(DataError, match="ct: no item in the range"):
        Stream([empty], batch_size=2, seed=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_more_ranks_than_tiles_take_part_with_a_tile_that_does_not_count(data, workers):
    shares = [
        next(iter(Stream([data], batch_size=2, seed=0, rank=rank, ranks=40, num_workers=workers)))
        for rank in (0, 32, 33, 39)
    ]
    assert [(share.counts, share.weight, len(share)) for share in shares] == [(True, 1, 1)] * 2 + [
        (False, 0, 1)
    ] * 2
    assert {share.mean_size for share in shares} == {33 / 40}
