"""Gridded fields: variables by name, time steps as items, and what is missing."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.formats import open_fields
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.sources import Fields
from ucf_vit.data.storage.scratch import Scratch

NAMES = ("heat", "wind", "salt")


def fields_of(steps=5, space=(6, 8), seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(steps, *space)).astype(np.float32) for name in NAMES}


def save_npz(path, arrays, compressed=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return arrays


def to_xarray(arrays):
    xarray = pytest.importorskip("xarray", reason="needs the extras netcdf and zarr")
    axes = ("time", "y", "x", "z")
    return xarray.Dataset({name: (axes[: array.ndim], array) for name, array in arrays.items()})


def save_netcdf(path, arrays):
    pytest.importorskip("netCDF4", reason="needs the extra netcdf")
    to_xarray(arrays).to_netcdf(path, engine="netcdf4", encoding={"heat": {"_FillValue": -9.0}})


def save_zarr(path, arrays):
    pytest.importorskip("zarr", reason="needs the extra zarr")
    to_xarray(arrays).to_zarr(path, consolidated=False, encoding={"heat": {"chunks": (1, 3, 4)}})


FORMATS = {
    ".npz": save_npz,
    "_compressed.npz": lambda path, arrays: save_npz(path, arrays, compressed=True),
    ".nc": save_netcdf,
    ".zarr": save_zarr,
}


@pytest.fixture(params=FORMATS)
def any_format(request, tmp_path):
    arrays = fields_of()
    (tmp_path / "data").mkdir()
    FORMATS[request.param](tmp_path / "data" / f"a{request.param}", arrays)
    return tmp_path / "data", arrays


def test_any_variables_in_any_order_and_any_region(any_format, scratch):
    root, arrays = any_format
    source = Fields(root, ("salt", "heat"), scratch=scratch)
    items = source.items()
    assert source.spatial_dims == 2
    assert [source.shape(item) for item in items] == [(2, 6, 8)] * 5
    for step, item in enumerate(items):
        for region in (None, (slice(2, 5), slice(1, 8))):
            sample = source.read(item, region)
            whole = np.stack([arrays["salt"][step], arrays["heat"][step]])
            assert np.array_equal(sample.image, whole[(slice(None), *(region or ()))])
            assert (sample.variables, sample.file) == (("salt", "heat"), item.image)
        assert source.read(item, None, (1,)).variables == ("heat",)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_format_streams_from_processes(any_format, scratch, workers):
    root, arrays = any_format
    options = {"variables": NAMES, "normalization": {"kind": "none"}, "labels": False, "scratch": scratch}
    data = build_dataset("f", "fields", root, tile_size=(6, 8), **options)
    data.source.read(data.items[0])  # a handle that a fork could share
    batches = list(Stream([data], batch_size=2, seed=0, num_workers=workers, shuffle=False))
    images = np.concatenate([batch.image.numpy() for batch in batches])
    assert np.array_equal(images, np.stack([arrays[name] for name in NAMES], 1))


def test_items_are_sorted_by_file_then_in_time(tmp_path, scratch):
    for name, steps in (("b", 2), ("a", 12)):
        save_npz(tmp_path / f"{name}.npz", fields_of(steps))
    (tmp_path / ".hidden.npz").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    keys = [item.key for item in Fields(tmp_path, NAMES, scratch=scratch).items()]
    assert keys == [f"a.npz[{step}]" for step in range(12)] + ["b.npz[0]", "b.npz[1]"]


@pytest.mark.parametrize(
    ("shape", "tile_dims", "expected"),
    [
        ((4, 6), 2, [(1, 4, 6)]),
        ((3, 4, 6), 2, [(1, 4, 6)] * 3),
        ((3, 4, 6), 3, [(1, 3, 4, 6)]),
        ((2, 3, 4, 6), 3, [(1, 3, 4, 6)] * 2),
        ((2, 3, 4, 6), 2, [(1, 3, 4, 6)] * 2),
    ],
)
def test_axes(tmp_path, scratch, shape, tile_dims, expected):
    array = save_npz(tmp_path / "a.npz", {"v": np.random.default_rng(0).random(shape)})["v"]
    source = Fields(tmp_path, ("v",), tile_dims=tile_dims, scratch=scratch)
    assert [source.shape(item) for item in source.items()] == expected
    last = source.read(source.items()[-1]).image[0]
    assert np.array_equal(last, array[-1] if len(expected) > 1 or len(shape) == 3 != tile_dims else array)


def test_a_variable_without_time_is_there_at_every_step(tmp_path, scratch):
    arrays = {**fields_of(), "depth": np.arange(48, dtype=">i2").reshape(6, 8)}
    save_npz(tmp_path / "a.npz", arrays)
    source = Fields(tmp_path, ("depth", "wind"), scratch=scratch)
    for step, item in enumerate(source.items()):
        image = source.read(item).image
        assert image.dtype == np.float32
        assert np.array_equal(image, np.stack([arrays["depth"], arrays["wind"][step]]))


def test_by_default_the_variables_with_most_axes(tmp_path, scratch):
    save_npz(tmp_path / "a.npz", {"y": np.arange(6.0), "mask": np.ones((6, 8)), **fields_of()})
    assert Fields(tmp_path, scratch=scratch).variables == NAMES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": np.zeros((5, 6, 7))}, r"the grid of wind is \(6, 8\), that of heat is \(6, 7\)"),
        (
            {"wind": np.zeros((4, 6, 8))},
            r"number of time steps of wind is \(4,\), that of heat is \(5,\)",
        ),
        ({"wind": np.zeros(8)}, r"wind has shape \(8,\), expected \[T, H, W\] or \[H, W\]"),
        ({"wind": None}, r"no variable 'wind'; it has heat, salt"),
    ],
)
def test_misfits_name_file_and_variable(tmp_path, scratch, change, message):
    arrays = {**fields_of(), **change}
    save_npz(tmp_path / "a.npz", {name: array for name, array in arrays.items() if array is not None})
    source = Fields(tmp_path, NAMES, scratch=scratch)
    with pytest.raises(DataError, match=rf"a\.npz: .*{message}"):
        source.shape(source.items()[0])


def test_unreadable_files_fail_or_are_skipped(tmp_path, scratch):
    save_npz(tmp_path / "b.npz", fields_of())
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    options = {"tile_size": (6, 8), "variables": NAMES, "labels": False, "scratch": scratch}
    with pytest.raises(DataError, match=r"a\.npz: can't be read \(File is not a zip file\)"):
        build_dataset("f", "fields", tmp_path, **options)
    data = build_dataset("f", "fields", tmp_path, on_error="skip", **options)
    assert (len(data.items), len(data.skipped)) == (5, 1)


def test_a_directory_without_fields(tmp_path, scratch):
    with pytest.raises(DataError, match=r"no file of fields found; expected \.npz, \.nc"):
        Fields(tmp_path, scratch=scratch)
    with pytest.raises(DataError, match="nowhere: no such directory"):
        Fields(tmp_path / "nowhere", scratch=scratch)


@pytest.mark.parametrize(("name", "extra"), [("a.nc", "netcdf"), ("a.zarr", "zarr")])
def test_a_missing_package_names_the_extra(tmp_path, scratch, monkeypatch, name, extra):
    (tmp_path / name).mkdir() if name.endswith(".zarr") else (tmp_path / name).touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=rf"{name}: needs xarray and .*: pip install 'ucf-vit\[{extra}\]'"):
        Fields(tmp_path, scratch=scratch)


def test_only_what_is_needed_is_read(tmp_path, scratch):
    save_npz(tmp_path / "a.npz", fields_of(steps=200, space=(64, 64)))
    with open_fields(str(tmp_path / "a.npz"), scratch, limit=2**30) as file:
        part = file.read("wind", (3, slice(0, 2), slice(0, 2)))
    assert isinstance(part, np.memmap)
    assert not list(scratch.directory.glob("*.npy"))


def test_compressed_arrays_are_decompressed_once_and_only_those_asked_for(tmp_path, scratch):
    arrays = save_npz(tmp_path / "a.npz", fields_of(), compressed=True)
    source = Fields(tmp_path, ("wind",), scratch=scratch)
    for item in source.items():
        assert np.array_equal(source.read(item).image[0], arrays["wind"][item.step])
    assert len(list(scratch.directory.glob("*.npy"))) == 1


def test_without_scratch_files_compressed_arrays_are_read_all_the_same(tmp_path):
    arrays = save_npz(tmp_path / "a.npz", {"v": np.asfortranarray(fields_of()["heat"])}, compressed=True)
    source = Fields(tmp_path, ("v",), scratch=Scratch(tmp_path / "s", limit=0))
    assert np.array_equal(source.read(source.items()[2]).image[0], arrays["v"][2])


def normalised(root, scratch, normalization, variables=NAMES, **options):
    data = build_dataset(
        "f",
        "fields",
        root,
        tile_size=(6, 8),
        variables=variables,
        labels=False,
        normalization=normalization,
        options=options,
        scratch=scratch,
    )
    return np.stack([TileReader(data, data.channels).whole(i).image for i in range(len(data.items))])


@pytest.mark.parametrize("kind", ["minmax", "zscore", "percentiles", "mean_std", "none"])
def test_missing_values_count_for_nothing_and_become_0(tmp_path, scratch, kind):
    arrays = fields_of()
    gone = np.random.default_rng(1).random((5, 6, 8)) < 0.4
    for array in arrays.values():
        array[gone] = np.nan
    arrays["salt"][3] = np.nan  # nothing at all at one step
    save_npz(tmp_path / "a.npz", arrays)
    options = {"mean": [1.0, 2.0, 3.0], "std": [2.0, 2.0, 2.0]} if kind == "mean_std" else {}
    out = normalised(tmp_path, scratch, {"kind": kind, **options})
    assert np.isfinite(out).all()
    for step in range(5):
        for channel, name in enumerate(NAMES):
            stored = arrays[name][step]
            here = ~np.isnan(stored)
            assert (out[step, channel][~here] == 0).all()
            if here.any():
                low, high = stored[here].min(), stored[here].max()
                expected = {
                    "minmax": lambda v, low=low, high=high: (v - low) / (high - low),
                    "zscore": lambda v: (v - v.mean()) / v.std(),
                    "percentiles": lambda v: np.clip(
                        (v - np.percentile(v, 0.5)) / np.subtract(*np.percentile(v, (99.5, 0.5))), 0, 1
                    ),
                    "mean_std": lambda v, channel=channel: (v - 1 - channel) / 2,
                    "none": lambda v: v,
                }[kind](stored[here])
                assert np.allclose(out[step, channel][here], expected, atol=1e-5)


@pytest.mark.parametrize(("dtype", "fill"), [(np.float32, 1e34), (np.float64, 1e34), (np.int16, -999.0)])
def test_a_stated_fill_value_is_missing(tmp_path, scratch, dtype, fill):
    array = np.arange(48, dtype=dtype).reshape(1, 6, 8)
    array[0, 2] = fill
    save_npz(tmp_path / "a.npz", {"v": array})
    out = normalised(tmp_path, scratch, {"kind": "minmax"}, ("v",), fill_value=fill)
    assert (out[0, 0, 2] == 0).all()
    assert out.max() == 1
    assert np.allclose(out[0, 0, 1], np.arange(8, 16) / 47)


def test_values_declared_missing_by_netcdf_are_missing(tmp_path, scratch):
    arrays = fields_of()
    arrays["heat"][1, 2, 3] = -9.0
    save_netcdf(tmp_path / "a.nc", arrays)
    out = normalised(tmp_path, scratch, {"kind": "none"})
    assert out[1, 0, 2, 3] == 0
    assert np.array_equal(out[0, 0], arrays["heat"][0])


def test_infinite_values_are_an_error(tmp_path, scratch):
    arrays = fields_of()
    arrays["wind"][2, 0, 0] = np.inf
    save_npz(tmp_path / "a.npz", arrays)
    with pytest.raises(DataError, match=r"a\.npz: channel 1 holds NaN or infinite values"):
        normalised(tmp_path, scratch, {"kind": "zscore"})


@settings(max_examples=8)
@given(st.integers(1, 4), st.tuples(st.integers(8, 12), st.integers(8, 12)), st.integers(0, 3))
def test_tiles_of_steps_are_those_of_the_arrays(tmp_path_factory, steps, space, seed):
    root = tmp_path_factory.mktemp("fields")
    arrays = save_npz(root / "a.npz", fields_of(steps, space, seed))
    data = build_dataset(
        *("f", "fields", root),
        tile_size=(4, 5),
        variables=NAMES,
        labels=False,
        use_all=True,
        normalization={"kind": "minmax"},
        scratch=Scratch(root / "scratch"),
    )
    reader, out = TileReader(data, data.channels), np.empty((3, 4, 5), np.float32)
    for tile in range(len(data)):
        step, k = data.locate(tile)
        reader.read(tile, 0, {"image": out})
        whole = np.stack([arrays[name][step] for name in NAMES]).astype(float)
        low = whole.min((1, 2), keepdims=True)
        scaled = (whole - low) / (whole.max((1, 2), keepdims=True) - low)
        assert np.allclose(out, scaled[(slice(None), *data.tilings[step].region(k))], atol=1e-5)


def test_real_ocean_variables_by_name(shared_data, scratch):
    with np.load(shared_data / "esku_climate/esku_monthly.npz") as stored:
        array, names = stored["data"], list(stored["variables"])
    source = Fields(shared_data / "esku_climate", scratch=scratch)
    assert source.variables == tuple(names)
    source = Fields(shared_data / "esku_climate", ("FDH", "SST"), scratch=scratch)
    items = source.items()
    assert [source.shape(item) for item in items] == [(2, 46, 72)] * 12
    month = array[7][[names.index("FDH"), names.index("SST")]]
    assert np.array_equal(source.read(items[7]).image, month, equal_nan=True)
