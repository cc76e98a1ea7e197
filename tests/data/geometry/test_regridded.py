"""A source on another grid: read region by region, resampled once, shared, planned from headers."""

import multiprocessing
import pickle

import nibabel
import numpy as np
import pytest
import torch
from nifti_files import save_nifti
from places import affine, write

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Sample
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.loader.whole_items import volumes
from ucf_vit.data.sources import regridded
from ucf_vit.data.sources.regridded import Regridded
from ucf_vit.data.storage.scratch import Scratch

SHAPE = (14, 12, 9)
FINER = GridOptions("RAS", (0.5, 0.6, 1.5))
TILE = (8, 8, 8)


def scans(root, count=2, place=None, label=True):
    """Volumes with axes to the left, to the back and up, and a label of half of each."""
    rng = np.random.default_rng(1)
    place = affine((-0.8, -0.9, 2.0), (10, 20, -30)) if place is None else place
    for number in range(count):
        image, there = rng.normal(100, 20, SHAPE).astype(np.float32), np.zeros(SHAPE, np.uint8)
        there[: 4 + number] = 1
        for folder, array in (("imagesTr", image), ("labelsTr", there))[: 2 if label else 1]:
            (root / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, place), root / folder / f"s{number}.nii.gz")
    return root


def build(root, options, scratch, **more):
    return build_dataset("ct", "basic_ct", root, tile_size=TILE, grid=options, scratch=scratch, **more)


def test_tiles_are_those_of_the_whole_and_the_plan_is_made_from_headers(tmp_path, scratch, monkeypatch):
    data = build(scans(tmp_path), FINER, scratch)
    assert [tiling.shape for tiling in data.tilings] == [(22, 18, 12)] * 2
    assert not any(scratch.directory.glob("*.grid")) and not any(scratch.directory.glob("*.nii"))
    reader = TileReader(data, (0,))
    row = {name: tensor[0].numpy() for name, tensor in reader.layout.new(1, pinned=False).items()}
    for number in range(2):
        whole = reader.whole(number)
        assert whole.image.shape == (1, 22, 18, 12)
        for k in range(len(data.tilings[number])):
            reader.read(int(data.ends[number]) - len(data.tilings[number]) + k, 0, row)
            region = data.tilings[number].region(k)
            assert np.array_equal(row["image"], whole.image[(slice(None), *region)])
            assert np.array_equal(row["label"], whole.label[region])
    # To the left and back as stored: the used axes are reversed, so that the label is at the end.
    assert whole.label[-1].all() and not whole.label[0].any()


def test_an_item_is_resampled_once_whatever_the_number_of_tiles_and_processes(tmp_path, scratch):
    data = build(scans(tmp_path / "ct"), FINER, scratch)
    log = tmp_path / "log"
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(_read_all, [(pickle.dumps(data), log)] * 3)
    assert sorted(log.read_text().split()) == ["s0", "s1"]


def _read_all(given):
    packed, log = given
    plain = regridded.resampled

    def counted(sample: Sample, *more):
        with log.open("a") as stream:
            stream.write(f"{sample.file.rpartition('/')[2].partition('.')[0]}\n")
        return plain(sample, *more)

    regridded.resampled = counted
    data = pickle.loads(packed)
    reader = TileReader(data, (0,))
    row = {name: tensor[0].numpy() for name, tensor in reader.layout.new(1, pinned=False).items()}
    for tile in range(len(data)):
        reader.read(tile, 0, row)


def test_without_room_for_scratch_files_the_last_items_are_held(tmp_path, monkeypatch):
    data = build(scans(tmp_path / "ct"), FINER, Scratch(tmp_path / "none", limit=0))
    made = []
    monkeypatch.setattr(
        regridded, "resampled", lambda *all, plain=regridded.resampled: made.append(1) or plain(*all)
    )
    reader = TileReader(data, (0,))
    row = {name: tensor[0].numpy() for name, tensor in reader.layout.new(1, pinned=False).items()}
    for tile in range(len(data)):
        reader.read(tile, 0, row)
    assert len(made) == 2


def test_items_that_are_only_turned_or_cropped_are_views(tmp_path, scratch):
    root = scans(tmp_path)
    stored = build(root, None, scratch)
    data = build(root, GridOptions("RAS"), scratch)
    sample = data.source.read(data.items[0], (slice(2, 5), slice(0, 3), slice(1, 2)))
    expected = stored.source.read(stored.items[0])
    assert np.array_equal(sample.image, expected.image[:, ::-1, ::-1][:, 2:5, 0:3, 1:2])
    assert np.array_equal(sample.label, expected.label[::-1, ::-1][2:5, 0:3, 1:2])
    assert not any(scratch.directory.glob("*.grid"))


def test_a_crop_is_measured_once_and_decides_the_shape(tmp_path, scratch, monkeypatch):
    image = np.zeros(SHAPE, np.float32)
    image[3:12, 2:11, 1:9] = 7
    save_nifti(tmp_path / "imagesTr/a.nii", image)
    save_nifti(tmp_path / "labelsTr/a.nii", (image > 0).astype(np.uint8))
    measured = []
    plain = regridded.foreground_box
    monkeypatch.setattr(regridded, "foreground_box", lambda *all: measured.append(1) or plain(*all))
    for _ in range(2):
        data = build(tmp_path, GridOptions(crop="nonzero"), scratch)
        assert data.tilings[0].shape == (9, 9, 8) and len(measured) == 1
    assert (data.source.read(data.items[0]).image == 7).all()
    finer = build(tmp_path, GridOptions("RAS", (0.5, 1, 1), "nonzero"), scratch)
    assert finer.tilings[0].shape == (18, 9, 8)


def test_other_options_and_changed_files_are_resampled_anew(tmp_path, scratch):
    root = scans(tmp_path, 1)

    def value(options):
        data = build(root, options, scratch)
        return data.source.read(data.items[0]).image.copy()

    first = value(FINER)
    assert value(GridOptions("as_stored", FINER.spacing)).shape == first.shape
    assert not np.array_equal(value(GridOptions("as_stored", FINER.spacing)), first)
    scans(tmp_path, 1, affine((-0.8, -0.9, 2.5)))
    assert value(FINER).shape != first.shape
    assert len(list(scratch.directory.glob("*.grid"))) == 3


def test_contradicting_headers_are_named_once_with_their_rule(tmp_path, scratch, caplog):
    place = affine((0.8, 0.9, 2.0))
    place[:3, 1] += 0.2 * place[:3, 0]
    build(scans(tmp_path, 3, place), GridOptions("RAS"), scratch)
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("ct: 3 item(s), the first ") and "s0.nii.gz: axes 0 and 1 meet at" in told


@pytest.mark.parametrize(
    ("spacing", "words"), [((0.1, 0.2, 0.4), "more than 64 times"), ((90.0, 90.0, 90.0), "less than 1/64 of")]
)
def test_an_item_whose_size_changes_beyond_reason_is_named(tmp_path, scratch, caplog, spacing, words):
    scans(tmp_path)
    build(tmp_path, GridOptions("as_stored", spacing, "none"), scratch)
    assert f"2 item(s), the first {tmp_path}/imagesTr/s0.nii.gz" in caplog.text and words in caplog.text


def test_sources_without_a_position_and_invalid_affines_are_refused(tmp_path, scratch):
    (tmp_path / "flat/images").mkdir(parents=True)
    np.save(tmp_path / "flat/images/a.npy", np.ones((8, 8, 8), np.float32))
    with pytest.raises(
        DataError, match=r"a\.npy: its source knows no position .*data\.orientation and data\.spacing"
    ):
        build_dataset(
            "x", "npy_pairs", tmp_path / "flat", tile_size=TILE, labels=False, grid=FINER, scratch=scratch
        )
    (tmp_path / "ct/imagesTr").mkdir(parents=True)
    write(tmp_path / "ct/imagesTr/s0.nii", affine(), srow_z=[0, 0, 0, 0])
    with pytest.raises(DataError, match=r"s0\.nii: its header has no position in space.*singular"):
        build(tmp_path / "ct", GridOptions("RAS"), scratch, labels=False)


def test_whole_items_have_their_label_as_stored_when_it_is_requested(tmp_path, scratch):
    root = scans(tmp_path)
    data = build(root, FINER, scratch, num_classes=2)
    for number, batch in enumerate(volumes([data], original=True)):
        stored = np.asarray(nibabel.load(root / f"labelsTr/s{number}.nii.gz").dataobj)
        assert np.array_equal(batch.original.label[0].numpy(), stored)
        scores = np.stack([batch.label[0].numpy() == k for k in range(2)]).astype(np.float32)
        found = batch.original.classes(torch.from_numpy(scores)[None])[0].numpy()
        assert found.shape == stored.shape
        assert 2 * (found & stored).sum() / (found.sum() + stored.sum()) > 0.98
    assert all(batch.original is None for batch in volumes([data]))
    assert all(batch.original is None for batch in volumes([build(root, None, scratch)], original=True))
    assert isinstance(data.source, Regridded)
