"""Arrays paired by an id in their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.sources import NpyPairs
from ucf_vit.data.sources.array_pairs import id_of


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return array


@pytest.mark.parametrize(
    "name",
    ["0012", "img_0012", "image-0012", "imgs_0012", "Label_0012", "label0012", "mask.0012", "0012_mask"],
)
def test_ids_of_file_names(name):
    assert id_of(name) == "0012"


@pytest.mark.parametrize("name", ["image", "label_", "imagery", "labelled_7", "a_12"])
def test_names_without_such_a_word_are_their_own_id(name):
    assert id_of(name) == name


@given(st.permutations(range(6)), st.booleans())
def test_pairs_never_depend_on_the_order_of_the_names(tmp_path_factory, order, three):
    root = tmp_path_factory.mktemp("pairs")
    for number in order:
        shape = (4, 5, 3) if three else (4, 5)
        save(root / "images" / f"img_{number}.npy", np.full(shape, number, np.int16))
        save(root / "labels" / f"{number}_label.npy", np.full(shape, number, np.uint8))
    source = NpyPairs(root, tile_dims=2)
    assert [item.key for item in source.items()] == [str(number) for number in range(6)]
    for item in source.items():
        sample = source.read(item)
        assert (sample.image == int(item.key)).all() and (sample.label == int(item.key)).all()
        assert (sample.image.dtype, sample.label.dtype) == (np.int16, np.uint8)


def test_a_file_without_partner_is_named(tmp_path):
    for name in ("images/img_1", "images/img_2", "labels/label_2", "labels/label_3"):
        save(tmp_path / f"{name}.npy", np.zeros((4, 4, 2) if "img" in name else (4, 4)))
    source = NpyPairs(tmp_path)
    assert source.spatial_dims == 2  # as the label says that there is
    assert [item.label is None for item in source.items()] == [True, False]
    assert str(source.passed_over) == "1 labels without an image (label_3.npy)"
    told = r"x: no label for 1 of 2 items: .*img_1\.npy \(2 items, 1 without a label \(1\); 1 files passed"
    with pytest.raises(DataError, match=told):
        build_dataset("x", "npy_pairs", tmp_path, tile_size=(4, 4))


def test_two_files_with_one_id_are_named(tmp_path):
    for name in ("img_1", "1"):
        save(tmp_path / "images" / f"{name}.npy", np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"img_1\.npy and .*images/1\.npy are both item '1'"):
        NpyPairs(tmp_path)


@pytest.mark.parametrize(
    ("image", "label", "variables", "tile_dims", "expected"),
    [
        ((6, 7), None, 1, 2, (1, 6, 7)),
        ((6, 7, 3), None, 3, 2, (3, 6, 7)),
        ((6, 7, 3), None, 1, 2, (3, 6, 7)),
        ((6, 7, 12), None, 12, 2, (12, 6, 7)),
        ((6, 7, 12), None, 1, 2, (1, 6, 7, 12)),
        ((6, 7, 3), None, 1, 3, (1, 6, 7, 3)),
        ((6, 7, 8, 2), None, 2, 3, (2, 6, 7, 8)),
        ((6, 7, 12), (6, 7), 1, 2, (12, 6, 7)),
        ((6, 7, 3), (6, 7, 3), 1, 2, (1, 6, 7, 3)),
        ((6, 7, 8, 2), (6, 7, 8), 2, 3, (2, 6, 7, 8)),
    ],
)
def test_axes(tmp_path, image, label, variables, tile_dims, expected):
    stored = save(tmp_path / "images" / "a.npy", np.random.default_rng(0).random(image))
    if label:
        save(tmp_path / "labels" / "a.npy", np.zeros(label, np.uint8))
    source = NpyPairs(tmp_path, [f"v{n}" for n in range(variables)], tile_dims)
    (item,) = source.items()
    assert source.shape(item) == expected
    assert source.spatial_dims == len(expected) - 1
    array = np.moveaxis(stored, -1, 0) if len(image) == len(expected) else stored[None]
    assert np.array_equal(source.read(item).image, array[:variables])
    region = (slice(1, 4), slice(2, 6), slice(0, 2))[: len(expected) - 1]
    assert np.array_equal(source.read(item, region).image, array[(slice(0, variables), *region)])
    if variables > 1:
        backwards = (variables - 1, 0)
        assert np.array_equal(source.read(item, region, backwards).image, array[(list(backwards), *region)])


def test_a_tile_is_a_view_of_a_memory_map(tmp_path):
    save(tmp_path / "images" / "a.npy", np.asfortranarray(np.random.default_rng(0).random((32, 32, 32))))
    source = NpyPairs(tmp_path, tile_dims=3)
    image = source.read(source.items()[0], (slice(0, 8),) * 3).image
    assert isinstance(image.base, np.memmap) or isinstance(image, np.memmap)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no numpy", r"a\.npy: no readable \.npy header"),
        (np.zeros((4, 4), complex), r"a\.npy: holds complex128, expected real numbers"),
        (np.zeros(4), r"a\.npy: has the shape \(4,\), expected \[H, W\]"),
        (np.zeros((0, 4)), r"a\.npy: has the shape \(0, 4\), expected an image"),
    ],
)
def test_errors_name_the_file(tmp_path, content, message):
    save(tmp_path / "images" / "b.npy", np.zeros((4, 4)))
    if isinstance(content, bytes):
        (tmp_path / "images" / "a.npy").write_bytes(content)
    else:
        save(tmp_path / "images" / "a.npy", content)
    source = NpyPairs(tmp_path)
    with pytest.raises(DataError, match=message):
        source.shape(source.items()[0])


def test_a_cut_off_file_is_an_error(tmp_path):
    path = tmp_path / "images" / "a.npy"
    save(path, np.zeros((64, 64)))
    path.write_bytes(path.read_bytes()[:-8])
    source = NpyPairs(tmp_path)
    with pytest.raises(DataError, match=r"a\.npy: can't be read"):
        source.read(source.items()[0])


def test_labels_of_another_shape_and_missing_channels_are_refused(tmp_path):
    save(tmp_path / "images" / "a.npy", np.zeros((6, 7)))
    save(tmp_path / "labels" / "a.npy", np.zeros((7, 6)))
    source = NpyPairs(tmp_path)
    with pytest.raises(DataError, match=r"labels/a\.npy: shape \(7, 6\) is not that of the image, \(6, 7\)"):
        source.shape(source.items()[0])
    source = NpyPairs(tmp_path, ("a", "b"))
    with pytest.raises(DataError, match=r"a\.npy: has 1 channel\(s\), expected 2: a, b"):
        source.shape(source.items()[0])


def test_nothing_there_names_the_folder(tmp_path):
    with pytest.raises(DataError, match="images: no such directory"):
        NpyPairs(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"images: no \.npy file found"):
        NpyPairs(tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_tiles_and_labels_stream(tmp_path, scratch, workers):
    for number in range(3):
        y, x = np.indices((8, 12))
        save(
            tmp_path / "images" / f"img_{number}.npy", np.stack([y, x, y * 0 + number], -1).astype(np.float32)
        )
        save(tmp_path / "labels" / f"label_{number}.npy", ((x + y) % 5).astype(np.uint8))
    data = build_dataset(
        *("p", "npy_pairs", tmp_path),
        tile_size=(4, 4),
        variables=("y", "x", "number"),
        normalization={"kind": "none"},
        options={"tile_dims": 2},
        scratch=scratch,
    )
    batches = list(Stream([data], batch_size=6, seed=0, num_workers=workers, shuffle=False))
    image = np.concatenate([batch.image.numpy() for batch in batches])
    label = np.concatenate([batch.label.numpy() for batch in batches])
    assert len(image) == 3 * 6
    assert np.array_equal(label, (image[:, 0] + image[:, 1]) % 5)
    assert sorted(set(image[:, 2].ravel().tolist())) == [0, 1, 2]
