"""Missing and packed values that NetCDF and Zarr files declare, and undeclared ones."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats import conventions
from ucf_vit.data.sources import Fields

xarray = pytest.importorskip("xarray", reason="needs the extras netcdf and zarr")
zarr = pytest.importorskip("zarr")
nc = pytest.importorskip("netCDF4")

RAIN = np.zeros((3, 8, 8), np.float32)
RAIN[:, 2:4, 2:4] = 5


def read(root, scratch, **options) -> np.ndarray:
    source = Fields(root, ("v",), scratch=scratch, **options)
    return np.stack([source.read(item).image[0] for item in source.items()])


def zarr_array(root, version, values, fill_value=None, **attributes):
    group = zarr.open_group(root / "a.zarr", mode="w", zarr_format=version)
    named = {"dimension_names": ("t", "y", "x")} if version == 3 else {}
    options = {} if fill_value is None else {"fill_value": fill_value}
    array = group.create_array(
        "v", shape=values.shape, dtype=values.dtype, chunks=(1, 8, 8), **named, **options
    )
    array[:] = values
    array.attrs.update(attributes | ({"_ARRAY_DIMENSIONS": ["t", "y", "x"]} if version == 2 else {}))
    return array


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u1", "u8", ">i2", ">f4", "i8"])
@pytest.mark.parametrize("version", [2, 3])
def test_zeros_of_zarr_are_numbers(tmp_path, scratch, version, dtype):
    zarr_array(tmp_path, version, RAIN.astype(dtype))
    assert np.array_equal(read(tmp_path, scratch), RAIN)


@pytest.mark.parametrize("dtype", ["f4", "i2"])
@pytest.mark.parametrize("version", [2, 3])
def test_values_xarray_writes_as_missing_are_missing(tmp_path, scratch, version, dtype):
    """In version 2 as the fill_value of Zarr, in version 3 as an attribute."""
    data = xarray.Dataset({"v": (("t", "y", "x"), np.where(RAIN == 5, np.nan, RAIN))})
    packed = {"v": {"_FillValue": -9, "dtype": dtype, "scale_factor": 0.5}}
    data.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False, encoding=packed)
    found = read(tmp_path, scratch)
    assert np.array_equal(np.isnan(found), RAIN == 5)
    assert (found[RAIN == 0] == 0).all()


def test_zero_is_missing_in_zarr_3_where_an_attribute_says_so(tmp_path, scratch):
    zarr_array(tmp_path, 3, RAIN.astype("i2"), _FillValue=0)
    assert np.array_equal(np.isnan(read(tmp_path, scratch)), RAIN == 0)


def test_and_in_zarr_2_where_the_run_says_so(tmp_path, scratch):
    zarr_array(tmp_path, 2, RAIN)
    assert np.array_equal(np.isnan(read(tmp_path, scratch, fill_value=0.0)), RAIN == 0)


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_that_is_a_directory_is_no_chunk_of_zeros(tmp_path, scratch, version):
    zarr_array(tmp_path, version, RAIN + 1)
    files = [path for path in (tmp_path / "a.zarr").rglob("*") if path.is_file()]
    chunk = next(path for path in files if path.name in ("1.0.0", "0"))
    source = Fields(tmp_path, ("v",), scratch=scratch)
    for item in source.items():
        source.read(item)
    chunk.unlink()
    chunk.mkdir()
    with pytest.raises(DataError, match=r"a\.zarr: .*is a directory, expected a chunk"):
        read(tmp_path, scratch)


def netcdf(path, dtype, values, kind="NETCDF4", fill=None, **attributes):
    with nc.Dataset(path, "w", format=kind) as file:
        for name, size in zip("tyx", (3, 8, 8), strict=True):
            file.createDimension(name, size)
        one = file.createVariable("v", dtype, ("t", "y", "x"), fill_value=fill)
        one.setncatts(attributes)
        one.set_auto_maskandscale(False)
        if values is not None:
            one[:2] = values[:2]


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4"])
def test_numbers_that_were_never_written_are_missing_in_netcdf(tmp_path, scratch, kind, dtype):
    netcdf(tmp_path / "a.nc", dtype, RAIN, kind)
    found = read(tmp_path, scratch)
    assert np.array_equal(found[:2], RAIN[:2]) and np.isnan(found[2]).all()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2"])
def test_bytes_and_overexposed_pixels_are_numbers(tmp_path, scratch, dtype):
    top = np.full(RAIN.shape, np.iinfo(dtype).max)
    netcdf(tmp_path / "a.nc", dtype, top)
    assert (read(tmp_path, scratch)[:2] == top[:2]).all()


@pytest.mark.parametrize(
    ("attributes", "fill", "missing"),
    [
        ({}, 5, [5]),
        ({"missing_value": np.int16(5)}, None, [5]),
        ({"missing_value": np.array([5, 7], np.int16)}, None, [5, 7]),
        ({"valid_range": np.array([0, 6], np.int16)}, None, [7, 9]),
        ({"valid_min": np.int16(1)}, None, [0]),
        ({"valid_max": np.int16(5)}, None, [7, 9]),
        ({}, None, []),
    ],
)
def test_every_declaration_of_missing_values(tmp_path, scratch, attributes, fill, missing):
    values = np.resize(np.array([0, 5, 7, 9], np.int16), (3, 8, 8))
    scale = {"scale_factor": np.float32(0.5), "add_offset": np.float32(10)}
    netcdf(tmp_path / "a.nc", "i2", values, fill=fill, **attributes, **scale)
    found = read(tmp_path, scratch)[:2]
    expected = np.where(np.isin(values, missing), np.nan, values * 0.5 + 10)[:2]
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    "attributes", [{"scale_factor": 0.0}, {"scale_factor": np.nan}, {"add_offset": np.inf}]
)
def test_a_scale_that_makes_nothing_of_the_numbers_is_refused(tmp_path, scratch, attributes):
    netcdf(tmp_path / "a.nc", "i2", RAIN, **attributes)
    with pytest.raises(DataError, match=r"a\.nc: .*are no valid scale for the stored values"):
        read(tmp_path, scratch)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u8", ">f4"])
def test_a_fill_value_is_rounded_to_the_stored_type(tmp_path, scratch, dtype):
    """1e34 is infinite in float16, where nothing may be missing by it but infinity is an error."""
    values = RAIN.astype(dtype)
    if dtype in ("f4", "f8", ">f4"):
        values[0, 0, 0] = 1e34
    if dtype == "f2":
        values[0, 0, 0] = np.inf
    np.savez(tmp_path / "a.npz", v=values)
    found = read(tmp_path, scratch, fill_value=1e34)
    assert np.isnan(found[0, 0, 0]) == (dtype in ("f4", "f8", ">f4"))
    assert np.isinf(found[0, 0, 0]) == (dtype == "f2")
    assert np.array_equal(found.ravel()[1:], RAIN.ravel()[1:])


@settings(max_examples=80)
@given(
    st.sampled_from(["i1", "u1", "i2", "u2", "i4", "f4", "f8", ">i2", ">f4"]),
    st.sampled_from([None, 0.5, 0.01, 3.0]),
    st.sampled_from([None, 0.0, 273.15, -7.0]),
    st.sampled_from([None, 1, 7]),
    st.sampled_from([None, 7]),
    st.sampled_from([None, "true", "false"]),
)
def test_numbers_are_those_of_xarray(dtype, scale, offset, fill, missing, unsigned):
    stored = np.resize(np.array([0, 1, 7, 100, 255, -1]).astype(dtype), (2, 6))
    integer = np.dtype(dtype).kind in "iu"
    marks = {"_FillValue": fill, "missing_value": missing}
    attributes = {name: stored.dtype.type(mark) for name, mark in marks.items() if mark is not None}
    packing = {"scale_factor": scale, "add_offset": offset, "_Unsigned": unsigned if integer else None}
    attributes |= {name: value for name, value in packing.items() if value is not None}
    with warnings.catch_warnings(action="ignore"):  # of two different marks
        expected = xarray.decode_cf(
            xarray.Dataset({"v": (("y", "x"), stored, dict(attributes))}), decode_times=False
        )
    found = conventions.values(stored, attributes)
    np.testing.assert_allclose(found, expected.variables["v"].values, rtol=3e-7)
