"""NIfTI: every kind of file that is read, every kind of damage that is named."""

import gzip
import struct
import time

import nibabel
import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.formats.nifti import Volumes, read_shape
from ucf_vit.data.sources import BasicCT
from ucf_vit.data.storage.scratch import Scratch

WHOLE = (slice(None),) * 3
PART = (slice(2, 5), slice(0, 7), slice(3, 4))


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (6, 7, 8)).astype(np.int16)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_regions_equal_what_nibabel_gives(tmp_path, scratch, array, suffix, dtype):
    path = save_nifti(tmp_path / f"v{suffix}", array.astype(dtype))
    part = Volumes(scratch).read(str(path)).values((0,), PART)
    assert np.array_equal(part[0], nibabel.load(path).get_fdata()[PART])
    assert part.dtype == dtype


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slope_and_intercept_are_applied(tmp_path, scratch, array, suffix):
    path = save_nifti(tmp_path / f"v{suffix}", array, slope=0.5, inter=-10)
    assert np.allclose(Volumes(scratch).read(str(path)).values((0,), PART)[0], array[PART] * 0.5 - 10)


def test_big_endian_and_nifti2(tmp_path, scratch, array):
    nibabel.save(
        nibabel.Nifti1Image(array.astype(">i2"), np.eye(4), nibabel.Nifti1Header(endianness=">")),
        tmp_path / "b.nii",
    )
    nibabel.save(nibabel.Nifti2Image(array, np.eye(4)), tmp_path / "n2.nii.gz")
    for name in ("b.nii", "n2.nii.gz"):
        assert read_shape(str(tmp_path / name)) == array.shape
        assert np.array_equal(Volumes(scratch).read(str(tmp_path / name)).values((0,), WHOLE)[0], array)


def test_4d_is_channels_last_on_disk(tmp_path, scratch):
    array = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    path = save_nifti(tmp_path / "v.nii.gz", array)
    volumes = Volumes(scratch)
    assert read_shape(str(path)) == (4, 5, 6, 3)
    for channels in ((0, 1, 2), (1,), (0, 2), (1, 2)):
        values = volumes.read(str(path)).values(channels, (slice(1, 3), slice(0, 5), slice(2, 6)))
        assert np.array_equal(values, np.moveaxis(array, -1, 0)[list(channels)][:, 1:3, :, 2:6])


def test_trailing_axes_of_one_are_no_channels(tmp_path, scratch, array):
    path = save_nifti(tmp_path / "v.nii", array[..., None, None])
    assert read_shape(str(path)) == array.shape
    assert Volumes(scratch).read(str(path)).values((0,), WHOLE).shape == (1, *array.shape)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_image_is_a_volume_one_voxel_thick(tmp_path, scratch, array, suffix):
    source = BasicCT(tmp_path, scratch=scratch)
    save_nifti(tmp_path / "imagesTr" / f"v{suffix}", array[..., 0])
    (item,) = source.items()
    assert source.shape(item) == (1, 6, 7, 1)
    assert np.array_equal(source.read(item).image[0], array[..., :1])


def test_other_numbers_of_axes_are_refused(tmp_path):
    for array in (np.zeros(4, np.int16), np.zeros((4, 5, 6, 2, 3), np.int16)):
        with pytest.raises(DataError, match=r"v\.nii: expected a volume"):
            read_shape(str(save_nifti(tmp_path / "v.nii", array)))


def test_vectors_as_itk_writes_them_are_channels(tmp_path, scratch, array):
    stacked = np.stack([array, -array], -1)
    path = str(save_nifti(tmp_path / "v.nii.gz", stacked[:, :, :, None]))
    assert read_shape(path) == stacked.shape
    assert np.array_equal(Volumes(scratch).read(path).values((1,), WHOLE)[0], -array)


def test_colours_and_complex_numbers_are_refused_by_the_header(tmp_path):
    colours = [("R", "u1"), ("G", "u1"), ("B", "u1")]
    for dtype in (colours, [*colours, ("A", "u1")], np.complex64, np.complex128):
        with pytest.raises(DataError, match="expected one real number per voxel"):
            read_shape(str(save_nifti(tmp_path / "v.nii", np.zeros((4, 5, 6), np.dtype(dtype)))))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        ("i2", 1e36, 0),  # more than float32 holds
        ("i2", 1, 3e38),
        ("u4", 0.1, 7),  # more digits than float32 has
        ("i4", 2, -(2**24) - 1),
        ("i8", 1e-3, 0),
        ("u8", 1e30, 0),
        ("u1", 1e-42, 0),  # less than float32 tells from 0
        ("f4", 1e4, -1),
        ("f4", 0.25, 0),
        ("f8", 1e-60, 0),
        ("i2", 0.5, -10),
        ("i2", -0.5, 0),
    ],
)
def test_no_scale_loses_or_overflows(tmp_path, scratch, suffix, dtype, slope, inter):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    ends = [info.min, info.max] if np.dtype(dtype).kind in "iu" else [-1e30, 1e30]
    stored = np.array([*ends, 0, 1, 2, 3, 100, 127], dtype).reshape(2, 2, 2)
    path = tmp_path / f"v{suffix}"
    image = nibabel.Nifti2Image(stored, np.eye(4), dtype=stored.dtype)
    image.header.set_slope_inter(slope, inter)
    nibabel.save(image, path)
    found = Volumes(scratch).read(str(path)).values((0,), WHOLE)[0]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, stored.astype(np.float64) * slope + inter, rtol=2e-7)


def with_scale(path, slope, inter, array):
    """The numbers as they are in the header, also those that nibabel would not write."""
    save_nifti(path, array)
    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<ff", slope, inter)
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(("slope", "inter"), [(0, 0), (0, 7), (np.nan, np.nan), (0, np.inf)])
def test_a_slope_of_0_or_nan_is_no_scale(tmp_path, scratch, array, slope, inter):
    """As the standard says of 0 (nifti1.h, scl_slope); nibabel writes NaN for none."""
    path = with_scale(tmp_path / "v.nii", slope, inter, array)
    assert np.array_equal(Volumes(scratch).read(path).values((0,), WHOLE)[0], array)


@pytest.mark.parametrize(("slope", "inter"), [(np.inf, 0), (-np.inf, 0), (2, np.nan), (2, np.inf)])
def test_a_scale_that_is_not_finite_is_refused(tmp_path, array, slope, inter):
    with pytest.raises(DataError, match=r"v\.nii: no readable NIfTI header .*(infinite|invalid intercept)"):
        read_shape(with_scale(tmp_path / "v.nii", slope, inter, array))


def test_a_scale_beyond_float64_is_refused(tmp_path, array):
    image = nibabel.Nifti2Image(array, np.eye(4))
    image.header.set_slope_inter(1e306, 0)
    nibabel.save(image, tmp_path / "v.nii")
    with pytest.raises(DataError, match=r"v\.nii: .*slope 1e\+306 and intercept 0, makes values infinite"):
        read_shape(str(tmp_path / "v.nii"))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_in_either_order_of_bytes(tmp_path, scratch, dtype):
    stored = np.arange(27).reshape(3, 3, 3).astype(dtype)
    for order in "<>":
        header = nibabel.Nifti1Header(endianness=order)
        image = nibabel.Nifti1Image(stored.astype(order + dtype), np.eye(4), header, dtype=stored.dtype)
        nibabel.save(image, tmp_path / "v.nii.gz")
        found = Volumes(scratch).read(str(tmp_path / "v.nii.gz")).values((0,), WHOLE)[0]
        assert np.array_equal(found, stored)


def test_an_uncompressed_file_is_mapped_not_read(tmp_path, scratch, array):
    volume = Volumes(scratch).read(str(save_nifti(tmp_path / "v.nii", array)))
    assert volume.mapped
    assert np.shares_memory(volume.values((0,), PART), volume.raw)


def test_a_compressed_file_is_decompressed_once_for_all_processes(tmp_path, scratch, array):
    path = save_nifti(tmp_path / "v.nii.gz", array)
    assert Volumes(scratch).read(str(path)).mapped
    made = list(scratch.directory.glob("*.nii"))
    before = made[0].stat().st_ino
    assert Volumes(scratch).read(str(path)).mapped
    assert [p.stat().st_ino for p in scratch.directory.glob("*.nii")] == [before]


def test_a_file_that_changed_is_decompressed_anew(tmp_path, scratch, array):
    path = save_nifti(tmp_path / "v.nii.gz", array)
    Volumes(scratch).read(str(path))
    save_nifti(tmp_path / "v.nii.gz", array + 1)
    assert np.array_equal(Volumes(scratch).read(str(path)).values((0,), WHOLE)[0], array + 1)


def test_eviction_while_mapped_and_without_scratch(tmp_path, array):
    paths = [str(save_nifti(tmp_path / f"v{i}.nii.gz", array + i)) for i in range(5)]
    for limit in (3000, 0):  # room for three volumes, for none
        volumes = Volumes(Scratch(tmp_path / f"s{limit}", limit=limit), keep=2)
        for _ in range(2):
            for i, path in enumerate(paths):
                assert np.array_equal(volumes.read(path).values((0,), WHOLE)[0], array + i)
        assert len(volumes._open) <= 2


DAMAGE = {
    "empty": lambda data: b"",
    "garbage": lambda data: bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)),
    "header cut": lambda data: data[:100],
    "data cut": lambda data: data[: len(data) // 2],
    "text": lambda data: b"<html>not found</html>" * 50,
    "zeros": lambda data: bytes(5000),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_the_file_and_the_cause(tmp_path, scratch, array, suffix, damage):
    path = save_nifti(tmp_path / f"v{suffix}", array)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(DataError, match=rf"v\{suffix}: .+"):
        if read_shape(str(path)):
            Volumes(scratch).read(str(path))


def test_flipped_bits_in_a_compressed_file_are_noticed(tmp_path, scratch, array):
    path = save_nifti(tmp_path / "v.nii.gz", array)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"v\.nii\.gz: .+"):
        Volumes(scratch).read(str(path))
    assert not list(scratch.directory.glob("*.nii"))


def test_a_plain_file_called_gz_and_a_missing_one(tmp_path, scratch, array):
    plain = save_nifti(tmp_path / "v.nii", array).rename(tmp_path / "v.nii.gz")
    with pytest.raises(DataError, match=r"v\.nii\.gz: .*[Nn]ot a gzipped file"):
        read_shape(str(plain))
    with pytest.raises(DataError, match=r"w\.nii: .*No such file"):
        read_shape(str(tmp_path / "w.nii"))


def test_a_header_takes_less_than_a_millisecond(tmp_path, array):
    for suffix in (".nii", ".nii.gz"):
        path = str(save_nifti(tmp_path / f"v{suffix}", np.zeros((64, 64, 64), np.float32)))
        read_shape(path)
        times = []
        for _ in range(50):
            begin = time.process_time()
            read_shape(path)
            times.append(time.process_time() - begin)
        assert min(times) < 1e-3


def test_gzip_members_one_after_the_other(tmp_path, scratch, array):
    path = save_nifti(tmp_path / "v.nii", array)
    data = path.read_bytes()
    packed = tmp_path / "v.nii.gz"
    packed.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    assert read_shape(str(packed)) == array.shape
    assert np.array_equal(Volumes(scratch).read(str(packed)).values((0,), WHOLE)[0], array)
