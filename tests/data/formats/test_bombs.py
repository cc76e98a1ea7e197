"""Headers that promise too much, data that unpacks to more than they say: refused before memory is taken."""

import bz2
import gzip
import io
import lzma
import multiprocessing
import re
import resource
import struct
import zipfile
import zlib

import nibabel
import numpy as np
import pytest
from nifti_files import save_nifti
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.formats.nifti import Volumes
from ucf_vit.data.formats.npz import NpzFile
from ucf_vit.data.formats.unpacked_size import check_unpacked, zstd_size
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.sources import Dicom, Fields, ImageNet, NpyPairs, Tiff
from ucf_vit.data.storage import Cache, Files
from ucf_vit.data.storage.scratch import Scratch

pytestmark = pytest.mark.deep

MIB = 2**20
LIMIT = 4 * MIB
MOST = 40 * 1024
"""KiB: for what libraries load at their first use."""
WHOLE = (slice(None),) * 3


@pytest.fixture
def files(scratch):
    return Files(Cache(scratch), max_item_bytes=LIMIT)


def refused(call) -> str:
    """The message of the DataError that `call` raises in a process of its own, which takes little memory."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def run() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            told = f"nothing, but {call()}"
        except DataError as error:
            told = str(error)
        except BaseException as error:
            told = repr(error)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        theirs.send(told if grown < MOST else f"{grown} KiB of memory; {told}")

    process = context.Process(target=run)
    process.start()
    try:
        return ours.recv() if ours.poll(300) else "nothing within minutes"
    finally:
        process.kill()
        process.join()


def zeros_gz(head: bytes, size: int) -> bytes:
    """A gzip file of `head` and `size` zeros, some thousandth of it."""
    out = io.BytesIO()
    with gzip.open(out, "wb", 9) as packed:
        packed.write(head)
        for _ in range(size // MIB):
            packed.write(bytes(MIB))
    return out.getvalue()


def nifti_head(shape, dtype=np.int16) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_data_offset(352)
    return header.binaryblock + bytes(4)


@pytest.mark.parametrize("room", [True, False])
def test_a_nifti_file_is_unpacked_as_far_as_its_header_says(tmp_path, files, room):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(zeros_gz(nifti_head((64, 64, 64)), 100 * MIB))
    scratch = Scratch(tmp_path / "s", limit=None if room else 0)
    assert re.search(
        r"a\.nii\.gz: .*more than the 524,640 bytes that its header says",
        refused(lambda: Volumes(scratch, files=files).read(str(path))),
    )
    assert sum(p.stat().st_size for p in scratch.directory.glob("*.nii*")) < MIB


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("padding", [0, 1, 70_000])
def test_padding_after_the_volume_is_ignored_and_the_checksum_verified(tmp_path, files, room, padding):
    volume = np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype(np.int16)
    data = save_nifti(tmp_path / "a.nii", volume).read_bytes() + bytes(padding)
    packed = bytearray(gzip.compress(data))
    scratch = Scratch(tmp_path / "s", limit=None if room else 0)
    (tmp_path / "b.nii.gz").write_bytes(packed)
    assert np.array_equal(
        Volumes(scratch, files=files).read(f"{tmp_path}/b.nii.gz").values((0,), WHOLE)[0], volume
    )
    packed[-5] ^= 1
    (tmp_path / "c.nii.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"c\.nii\.gz: .*CRC|length"):
        Volumes(scratch, files=files).read(f"{tmp_path}/c.nii.gz")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("shape", [(1290, 1290, 1290), (32767, 32767, 32767), (32767,) * 4])
def test_a_nifti_header_that_says_too_much(tmp_path, scratch, files, name, shape):
    head = nifti_head(shape)
    (tmp_path / name).write_bytes(gzip.compress(head) if name.endswith("gz") else head)
    told = refused(lambda: Volumes(scratch, files=files).read(str(tmp_path / name)))
    too_much = {
        "a.nii": "it ends after 352 bytes, its header says",
        "a.nii.gz": "bytes, more than 4,194,304;",
    }
    assert f"{name}: " in told and too_much[name] in told


def npz(path, name: str, header: str, values: bytes) -> None:
    text = (header + " " * (118 - len(header)) + "\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values)


def shaped(*shape: int) -> str:
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"


def test_an_npz_array_of_more_than_the_limit(tmp_path, scratch, files):
    npz(tmp_path / "a.npz", "v", shaped(10, 1024, 1024), bytes(40 * MIB))
    source = Fields(tmp_path, ("v",), scratch=scratch, files=files)
    assert re.search(
        r"a\.npz: v: its header says 41,943,\d+ bytes, more than 4,194,304",
        refused(lambda: source.read(source.items()[0])),
    )


@pytest.mark.parametrize("shape", [(1, 4, 4), (10**9, 10**9), (-1, 4, 4), (10**30, 2, 2)])
def test_an_npz_header_that_is_not_of_its_data(tmp_path, scratch, files, shape):
    npz(tmp_path / "a.npz", "v", shaped(*shape), bytes(8 * MIB))
    assert re.search(
        r"a\.npz: .*(its header says)",
        refused(lambda: Fields(tmp_path, ("v",), scratch=scratch, files=files)),
    )


def test_an_npy_header_as_long_as_memory(tmp_path, scratch, files):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{" * 5000)
    source = NpyPairs(tmp_path, files=files)
    assert re.search(
        r"a\.npy: .*2,147,483,648 bytes, more than an array of numbers needs",
        refused(lambda: source.shape(source.items()[0])),
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_a_wrong_checksum_in_an_npz_file(tmp_path, scratch, files, compressed):
    values = np.random.default_rng(0).random((2, 99, 99)).astype(np.float32)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", v=values, w=values)
    source = Fields(tmp_path, ("v",), scratch=scratch, files=files)
    assert np.array_equal(source.read(source.items()[1]).image[0], values[1])
    data = bytearray((tmp_path / "a.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        crc = struct.pack("<I", archive.getinfo("v.npy").CRC)
    place = data.index(values[1].tobytes()[:8]) if not compressed else None
    for at in [place] if place else [i for i in range(len(data)) if data.startswith(crc, i)]:
        data[at] ^= 1
    (tmp_path / "b").mkdir()
    (tmp_path / "b/a.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"b/a\.npz: .*Bad CRC-32 for file 'v\.npy'"):
        source = Fields(tmp_path / "b", ("v",), scratch=scratch, files=files)
        source.read(source.items()[1])


@pytest.mark.parametrize("room", [True, False])
def test_an_uncompressed_array_is_checked_once(tmp_path, files, room, monkeypatch):
    np.savez(tmp_path / "a.npz", v=np.zeros((5, 8, 8), np.float32))
    source = Fields(tmp_path, ("v",), scratch=Scratch(tmp_path / "s", limit=None if room else 0), files=files)
    passes = []
    original = NpzFile._unpack
    monkeypatch.setattr(NpzFile, "_unpack", lambda *given: (passes.append(1), original(*given)))
    for item in source.items():
        source.read(item)
    assert passes == [1]


def test_a_picture_of_more_than_the_limit(tmp_path, files):
    (tmp_path / "d/cat").mkdir(parents=True)
    Image.new("RGB", (2000, 2000)).save(tmp_path / "d" / "cat/a.jpg")
    source = ImageNet(tmp_path / "d", files=files)
    assert re.search(
        r"a\.jpg.*its header says 48,000,000 bytes, more than 4,194,304",
        refused(lambda: source.read(source.items()[0])),
    )


def test_a_jpeg_header_of_four_billion_pixels(tmp_path, files):
    (tmp_path / "d/cat").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "d" / "cat/a.jpg")
    data = bytearray((tmp_path / "d" / "cat/a.jpg").read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    (tmp_path / "d" / "cat/a.jpg").write_bytes(data)
    source = ImageNet(tmp_path / "d", files=files)
    assert source.shape(source.items()[0]) == (3, 65_000, 65_000)
    assert re.search(
        r"a\.jpg.*its header says 50,700,000,000 bytes",
        refused(lambda: source.read(source.items()[0])),
    )


def tiff_with(path, compression: int, segment: bytes, side: int = 64) -> None:
    """A TIFF image of one strip."""
    tags = {
        256: side,
        257: side,
        258: 8,
        259: compression,
        262: 1,
        273: 200,
        277: 1,
        278: side,
        279: len(segment),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(head.ljust(200, b"\0") + segment)


@pytest.mark.parametrize("compression", ["deflate", "lzma", "zstd", "jpeg", "png"])
def test_a_tiff_strip_is_unpacked_as_far_as_the_page_says(tmp_path, scratch, files, compression):
    pytest.importorskip("tifffile")
    numcodecs = pytest.importorskip("numcodecs")
    picture = io.BytesIO()
    if compression in ("jpeg", "png"):
        Image.new("L", (10_000, 10_000)).save(picture, compression)
    pack = {
        "deflate": (8, lambda: zlib.compress(bytes(100 * MIB), 1)),
        "lzma": (34925, lambda: lzma.compress(bytes(100 * MIB), preset=0)),
        "zstd": (50000, lambda: bytes(numcodecs.Zstd().encode(bytes(100 * MIB)))),
        "jpeg": (7, picture.getvalue),
        "png": (34933, picture.getvalue),
    }[compression]
    tiff_with(tmp_path / "a.tif", pack[0], pack[1]())
    source = Tiff(tmp_path, scratch=scratch, files=files)
    (item,) = source.items()
    assert source.shape(item) == (1, 64, 64)
    assert re.match(r"\S+a\.tif: |nothing, but \(1, 64, 64\)", refused(lambda: source.read(item).image.shape))


def test_a_tiff_page_of_more_than_the_limit(tmp_path, scratch, files):
    pytest.importorskip("tifffile")
    tiff_with(tmp_path / "a.tif", 8, zlib.compress(bytes(1000)), side=60_000)
    source = Tiff(tmp_path, scratch=scratch, files=files)
    assert re.search(
        r"a\.tif: its header says 3,600,000,000 bytes",
        refused(lambda: source.read(source.items()[0])),
    )


@pytest.mark.parametrize("deflated", [False, True])
def test_dicom_slices_of_more_than_the_limit(tmp_path, scratch, files, deflated):
    pydicom = pytest.importorskip("pydicom")
    from dicom_files import save_series

    save_series(tmp_path, np.zeros((8, 8, 2), np.int16))
    for path in tmp_path.glob("*.dcm"):
        found = pydicom.dcmread(path)
        if deflated:
            found.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
            found.PixelData = bytes(100 * MIB)
        else:
            found.Rows = found.Columns = 40_000
        found.save_as(path)

    def read():
        source = Dicom(tmp_path, scratch=scratch, files=files)
        return source.read(source.items()[0])

    assert re.search(r"00\d\.dcm: its header says [\d,]+ bytes, more than 4,194,304", refused(read))


def test_deflated_slices_are_read(tmp_path, scratch, files):
    pydicom = pytest.importorskip("pydicom")
    from dicom_files import save_series

    volume = np.arange(8 * 8 * 2).reshape(8, 8, 2).astype(np.int16)
    save_series(tmp_path, volume)
    for path in tmp_path.glob("*.dcm"):
        found = pydicom.dcmread(path)
        found.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        found.save_as(path)
    source = Dicom(tmp_path, scratch=scratch, files=files)
    assert np.array_equal(source.read(source.items()[0]).image[0], volume)


@pytest.mark.parametrize("side", [8, 65_000])
def test_compressed_slices_have_the_size_that_their_pixels_say(tmp_path, scratch, files, side):
    pydicom = pytest.importorskip("pydicom")
    from dicom_files import save_series

    save_series(tmp_path, np.zeros((8, 8, 2), np.int16))
    picture = io.BytesIO()
    Image.new("L", (8, 8), 77).save(picture, "jpeg", quality=100)
    data = bytearray(picture.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    for path in tmp_path.glob("*.dcm"):
        found = pydicom.dcmread(path)
        found.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
        found.BitsAllocated = found.BitsStored = 8
        found.HighBit, found.PixelRepresentation = 7, 0
        found.PixelData = pydicom.encaps.encapsulate([bytes(data)])
        found["PixelData"].VR = "OB"
        found.save_as(path)
    source = Dicom(tmp_path, scratch=scratch, files=files)
    (item,) = source.items()
    if side == 8:
        assert abs(source.read(item).image - 77).max() <= 1
    else:
        assert "00.dcm: its pixels: its header says 4,225,000,000 bytes" in refused(lambda: source.read(item))


def zarr_array(root, version, shape=(1, 64, 64), compressor="gzip", **options):
    zarr = pytest.importorskip("zarr")
    from numcodecs import GZip, Zstd
    from zarr.codecs import GzipCodec, ZstdCodec

    kinds = {"gzip": (GZip, GzipCodec), "zstd": (Zstd, ZstdCodec)}[compressor]
    group = zarr.open_group(root / "a.zarr", mode="w", zarr_format=version)
    named = {"dimension_names": ("t", "y", "x")} if version == 3 else {}
    options |= {"compressors": [kinds[version - 2]()], "dtype": "u1", **named}
    array = group.create_array("v", shape=shape, **options)
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = ["t", "y", "x"]
    return array


@pytest.mark.parametrize("compressor", ["gzip", "zstd"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_chunk_that_unpacks_to_more_than_the_limit(tmp_path, scratch, files, version, compressor):
    numcodecs = pytest.importorskip("numcodecs")
    zarr_array(tmp_path, version, compressor=compressor, chunks=(1, 64, 64))[:] = 1
    (chunk,) = (p for p in (tmp_path / "a.zarr/v").rglob("*0*") if p.is_file())
    bomb = zeros_gz(b"", 100 * MIB) if compressor == "gzip" else numcodecs.Zstd().encode(bytes(100 * MIB))
    chunk.write_bytes(bomb)
    source = Fields(tmp_path, ("v",), scratch=scratch, files=files)
    assert re.search(
        r"a\.zarr: .*its header says [\d,]+ bytes, more than 4,194,304",
        refused(lambda: source.read(source.items()[0])),
    )


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_array_that_was_never_written_takes_no_more_than_its_parts(tmp_path, scratch, files, version):
    zarr_array(tmp_path, version, shape=(1, 10**6, 10**6), chunks=(1, 64, 64))
    source = Fields(tmp_path, ("v",), scratch=scratch, files=files)
    (item,) = source.items()
    assert source.read(item, (slice(0, 8), slice(5000, 5008))).image.shape == (1, 8, 8)
    assert re.search(
        r"variable v: its header says 1,000,000,000,000 bytes",
        refused(lambda: source.read(item)),
    )


def test_a_zarr_chunk_of_more_than_the_limit(tmp_path, scratch, files):
    zarr_array(tmp_path, 3, shape=(1, 10**4, 10**4), chunks=(1, 10**4, 10**4))
    source = Fields(tmp_path, ("v",), scratch=scratch, files=files)
    assert re.search(
        r"variable v: its header says 100,000,000 bytes",
        refused(lambda: source.read(source.items()[0], (slice(0, 8), slice(0, 8)))),
    )


def test_chunks_of_prepared_data_have_the_size_of_a_chunk(tmp_path, scratch):
    numcodecs = pytest.importorskip("numcodecs")
    from ucf_vit.data.formats.prepared.sharded_array import ShardedArray, ShardReader

    reader, stored = ShardReader(None), ShardedArray((), (), (1, 4, 4), (1, 4, 4), 1, 4, np.dtype("i2"))
    pack = numcodecs.Zstd().encode
    assert reader._array(bytes(pack(np.arange(16, dtype="i2"))), stored).sum() == 120
    for values in (np.arange(15, dtype="i2"), np.arange(17, dtype="i2"), np.zeros(100 * MIB, "u1")):
        with pytest.raises(ValueError, match=r"a chunk unpacks to .* bytes, expected 32"):
            reader._array(bytes(pack(values)), stored)


PACKERS = {
    "gzip": lambda data: gzip.compress(data, 6),
    "two members": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("content", ["zeros", "noise"])
def test_unpacked_bytes_are_counted(kind, content):
    size = 3_000_001
    data = bytes(size) if content == "zeros" else np.random.default_rng(0).bytes(size)
    packed = PACKERS[kind](data)
    check_unpacked("a", packed, size)
    with pytest.raises(DataError, match=r"^a: its header says"):
        check_unpacked("a", packed, size - 1)
    check_unpacked("a", packed[: len(packed) // 2], size)
    check_unpacked("a", b"no such thing", 1)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_791, 65_792, 300_000])
@pytest.mark.parametrize("content", ["zeros", "noise"])
def test_sizes_of_zstandard_frames(size, content):
    numcodecs = pytest.importorskip("numcodecs")
    data = bytes(size) if content == "zeros" else np.random.default_rng(0).bytes(size)
    assert zstd_size(bytes(numcodecs.Zstd().encode(data))) == size
    imagecodecs = pytest.importorskip("imagecodecs")
    assert zstd_size(imagecodecs.zstd_encode(data)) == size


def test_a_zstandard_frame_that_does_not_say_its_size_is_bounded_by_its_blocks():
    blocks = [(1, 10**6, b"\0"), (0, 3, b"abc"), (2, 500, bytes(500))]
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, 0x58])
    for number, (kind, length, data) in enumerate(blocks):
        frame += (length << 3 | kind << 1 | (number == 2)).to_bytes(3, "little") + data
    assert zstd_size(frame) == 10**6 + 3 + 2**17
    for broken in (b"", frame[:4], b"nothing at all"):
        with pytest.raises(ValueError, match="not compressed by Zstandard"):
            zstd_size(broken)


def test_the_limit_of_a_config_holds_for_all(tmp_path, scratch):
    for name in ("a.nii", "b.nii.gz"):
        save_nifti(tmp_path / "imagesTr" / name, np.zeros((16, 16, 16), np.int16))
    options = {"tile_size": (8, 8, 8), "labels": False, "scratch": scratch}
    fits = Files(Cache(scratch), max_item_bytes=4 * 16**3 + 352)
    data = build_dataset("ct", "basic_ct", tmp_path, files=fits, **options)
    assert TileReader(data, (0,)).whole(1).image.shape == (1, 16, 16, 16)
    small = Files(Cache(scratch), max_item_bytes=4 * 16**3 - 1)
    with pytest.raises(DataError, match=r"imagesTr/a\.nii: its header says 16,384 bytes, more than 16,383"):
        build_dataset("ct", "basic_ct", tmp_path, files=small, **options)
    with pytest.raises(DataError, match=r"none of 2 items can be read; the first error: .*more than 16,383"):
        build_dataset("ct", "basic_ct", tmp_path, files=small, on_error="skip", **options)


@pytest.mark.parametrize("side", [10**7, 10**12])
def test_more_tiles_than_memory_can_order_are_refused(tmp_path, scratch, side):
    zarr_array(tmp_path, 3, shape=(1, side, side), chunks=(1, 64, 64))
    options = {"tile_size": (8, 8), "labels": False, "normalization": {"kind": "none"}, "scratch": scratch}
    told = (
        r"a\.zarr: (by its header it has 1,562,500,000,000 tiles of \(8, 8\)|its header says \(1, 10{12}, )"
    )
    with pytest.raises(DataError, match=told):
        build_dataset("d", "fields", tmp_path, **options)
