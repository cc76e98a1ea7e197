"""Statistics of a volume are found once, by one process, and serve all its tiles."""

from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.item_facts import ItemFactsCache
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.prepare.conversion import Origin, StorageOptions
from ucf_vit.data.prepare.convert import prepare
from ucf_vit.data.sources import BasicCT
from ucf_vit.data.storage.scratch import Scratch


class Counting(BasicCT):
    """Writes down when a whole volume is read."""

    def read(self, item, region=None, channels=None):
        if region is None:
            with (Path(self.root) / "log").open("a") as log:
                log.write(f"{item.key}\n")
        return super().read(item, region, channels)


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_volumes_are_read_once_for_all_tiles_and_processes(ct, scratch, workers):
    data = build_dataset("ct", "basic_ct", ct, tile_size=(4, 4, 4), buffer_size=100, scratch=scratch)
    object.__setattr__(data, "source", Counting(ct, scratch=scratch))
    object.__setattr__(data, "origin", None)
    stream = Stream([data], batch_size=4, seed=0, num_workers=workers)
    for _ in range(2):
        list(stream)
    assert sorted((ct / "log").read_text().split()) == [f"v{i}" for i in range(6)]


def test_without_scratch_files_they_are_kept_in_memory(ct, tmp_path):
    scratch = Scratch(tmp_path / "s", limit=0)
    data = build_dataset("ct", "basic_ct", ct, tile_size=(4, 4, 4), scratch=scratch)
    book = ItemFactsCache(data)
    assert book.of(1, (0,)) is book.of(1, (0,))
    assert not list((tmp_path / "s").glob("*.npz"))


def test_a_volume_that_changed_is_measured_anew(tmp_path, scratch):
    for top in (7, 90):
        volume = np.zeros((8, 8, 8), np.float32)
        volume[0, 0, 0] = top
        save_nifti(tmp_path / "ct" / "imagesTr" / "a.nii", volume)
        data = build_dataset(
            "ct", "basic_ct", tmp_path / "ct", tile_size=(4, 4, 4), labels=False, scratch=scratch
        )
        assert ItemFactsCache(data).of(0, (0,)).affine.divisor.tolist() == [top]


def test_normalisations_of_one_volume_do_not_mix(ct, scratch):
    divisors = []
    for kind in ("minmax", "zscore", "none"):
        data = build_dataset(
            "ct", "basic_ct", ct, tile_size=(4, 4, 4), normalization={"kind": kind}, scratch=scratch
        )
        divisors.append(ItemFactsCache(data).of(0, (0,)).affine.divisor.item())
    assert len(set(divisors)) == 3


def affine_of(scratch, source, root, variables, **options):
    """Returns shift and divisor of the first channel of the first item."""
    data = build_dataset(
        *("d", source, root),
        tile_size=(4, 4) if source in ("fields", "imagenet") else (4, 4, 4),
        variables=variables,
        labels=False,
        normalization={"kind": "minmax"},
        options=options,
        scratch=scratch,
    )
    found = ItemFactsCache(data).of(0, data.channels[:1]).affine
    return found.shift.item(), found.divisor.item()


def test_variables_of_one_file_do_not_mix(tmp_path, scratch):
    """The first of a data set's own variables is its channel 0, whichever it is in the file."""
    np.savez(tmp_path / "a.npz", ct=np.linspace(0, 9, 64).reshape(8, 8), pet=np.arange(64.0).reshape(8, 8))
    assert affine_of(scratch, "fields", tmp_path, ["ct", "pet"]) == (0, 9)
    assert affine_of(scratch, "fields", tmp_path, ["pet", "ct"]) == (0, 63)
    assert affine_of(scratch, "fields", tmp_path, ["pet"]) == (0, 63)


def test_variables_of_prepared_data_do_not_mix(tmp_path, scratch):
    pytest.importorskip("zarr")
    image = np.stack([np.linspace(0, 9, 512), np.linspace(-100, 100, 512)], -1).reshape(8, 8, 8, 2)
    save_nifti(tmp_path / "raw/imagesTr/a.nii", image.astype(np.float32))
    origin = Origin.of("basic_ct", str(tmp_path / "raw"), ("ct", "pet"), {})
    prepare(origin, tmp_path / "d", StorageOptions(chunk=(4, 4, 4)))
    assert affine_of(scratch, "prepared", tmp_path / "d", ["ct"]) == (0, 9)
    assert affine_of(scratch, "prepared", tmp_path / "d", ["pet"]) == (-100, 200)


def test_fill_values_do_not_mix(tmp_path, scratch):
    np.savez(tmp_path / "a.npz", v=np.linspace(0, 7, 64).reshape(8, 8))
    assert affine_of(scratch, "fields", tmp_path, ["v"]) == (0, 7)
    assert affine_of(scratch, "fields", tmp_path, ["v"], fill_value=7.0)[1] < 7
    assert affine_of(scratch, "fields", tmp_path, ["v"]) == (0, 7)


def test_sizes_do_not_mix(tmp_path, scratch):
    (tmp_path / "d/cat").mkdir(parents=True)
    pixels = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "d/cat/a.png")
    whole = affine_of(scratch, "imagenet", tmp_path / "d", None)
    assert whole == (0, 1)
    assert affine_of(scratch, "imagenet", tmp_path / "d", None, resize=(16, 16))[1] < 0.5
    assert affine_of(scratch, "imagenet", tmp_path / "d", None, resize=(64, 64)) == whole


def test_the_class_of_an_image_is_that_of_today(tmp_path, scratch):
    """A class that is added changes the numbers of those after it; the files stay as they are."""
    found = []
    for folder in ("dog", "cat"):
        (tmp_path / "d" / folder).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "d" / folder / "a.png")
        options = {"tile_size": (4, 4), "normalization": {"kind": "minmax"}, "scratch": scratch}
        data = build_dataset("d", "imagenet", tmp_path / "d", **options)
        number = next(n for n, item in enumerate(data.items) if item.stratum == "dog")
        found.append(ItemFactsCache(data).of(number, (0,)).label.values.tolist())
    assert found == [[0], [1]]


def test_a_slice_that_changed_is_measured_anew(tmp_path, scratch):
    """An item is a whole series, though it is named by one of its files."""
    pydicom = pytest.importorskip("pydicom")
    from dicom_files import save_series

    save_series(tmp_path / "s", np.linspace(0, 9, 384).reshape(8, 8, 6).astype(np.int16))
    assert affine_of(scratch, "dicom", tmp_path / "s", None) == (0, 9)
    last = tmp_path / "s/005.dcm"
    found = pydicom.dcmread(last)
    found.PixelData = np.full((8, 8), 500, "<i2").tobytes()
    found.save_as(last)
    assert affine_of(scratch, "dicom", tmp_path / "s", None) == (0, 500)


def test_a_chunk_that_changed_is_measured_anew_and_only_then(tmp_path, scratch):
    zarr = pytest.importorskip("zarr")
    store = zarr.open_group(tmp_path / "a.zarr", mode="w")
    axes = {"dimension_names": ("y", "x")}
    array = store.create_array("v", shape=(8, 8), chunks=(4, 4), dtype="f4", **axes)
    array[:] = np.arange(64.0).reshape(8, 8)
    assert affine_of(scratch, "fields", tmp_path / "a.zarr", ["v"]) == (0, 63)
    kept = set(scratch.directory.glob("*.npz"))
    assert kept and affine_of(scratch, "fields", tmp_path / "a.zarr", ["v"]) == (0, 63)
    assert set(scratch.directory.glob("*.npz")) == kept
    array[7, 7] = 900
    assert affine_of(scratch, "fields", tmp_path / "a.zarr", ["v"]) == (0, 900)


def test_sources_of_one_name_in_two_files_do_not_mix(tmp_path, scratch):
    code = """
from ucf_vit.data.sources.npy_pairs import NpyPairs


class Scaled(NpyPairs):
    def open(self, path, label=False):
        return super().open(path) * {factor}
"""
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images/a.npy", np.arange(512.0).reshape(8, 8, 8))
    for factor in (1, 2):
        (tmp_path / f"by_{factor}.py").write_text(code.format(factor=factor))
        scaled = affine_of(scratch, f"{tmp_path}/by_{factor}.py:Scaled", tmp_path, None, tile_dims=3)
        assert scaled == (0, 511 * factor)
