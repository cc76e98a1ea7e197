"""TIFF images and stacks, however they are stored."""

import numpy as np
import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data.sources import Tiff

tifffile = pytest.importorskip("tifffile", reason="needs the extra tiff")

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 9999, (6, 20, 24)).astype(np.uint16)
PAIRS = STACK.reshape(3, 2, 20, 24)
COLOURS = RNG.integers(0, 255, (20, 24, 3)).astype(np.uint8)


def plain_pages(path, array, **options):
    """Page after page, as other programs write stacks."""
    with tifffile.TiffWriter(path) as file:
        for page in array:
            file.write(page, metadata=None, contiguous=False, **options)


@pytest.mark.parametrize(
    ("write", "array"),
    [
        (lambda p: tifffile.imwrite(p, STACK), STACK[None]),
        (lambda p: tifffile.imwrite(p, STACK, byteorder=">"), STACK[None]),
        (lambda p: tifffile.imwrite(p, STACK, compression="zlib"), STACK[None]),
        (lambda p: tifffile.imwrite(p, STACK, compression="lzw", predictor=True), STACK[None]),
        (lambda p: plain_pages(p, STACK), STACK[None]),
        (lambda p: plain_pages(p, STACK, compression="zlib"), STACK[None]),
        (lambda p: tifffile.imwrite(p, STACK[:2].astype(np.float32), bigtiff=True), STACK[None, :2]),
        (lambda p: tifffile.imwrite(p, STACK[0]), STACK[None, 0]),
        (lambda p: tifffile.imwrite(p, COLOURS, photometric="rgb"), np.moveaxis(COLOURS, -1, 0)),
        (
            lambda p: tifffile.imwrite(p, COLOURS, photometric="rgb", tile=(16, 16), compression="zlib"),
            np.moveaxis(COLOURS, -1, 0),
        ),
        (
            lambda p: tifffile.imwrite(
                p, STACK.reshape(3, 2, 20, 24), imagej=True, metadata={"axes": "ZCYX"}
            ),
            np.moveaxis(PAIRS, 1, 0),
        ),
        (
            lambda p: tifffile.imwrite(p, STACK.reshape(2, 3, 20, 24), ome=True, metadata={"axes": "CZYX"}),
            STACK.reshape(2, 3, 20, 24),
        ),
    ],
)
def test_any_storage_and_any_region(tmp_path, scratch, write, array):
    write(tmp_path / "a.tif")
    source = Tiff(tmp_path, [f"v{n}" for n in range(len(array))], scratch)
    (item,) = source.items()
    assert (item.key, item.label) == ("a", None)
    assert source.shape(item) == array.shape
    assert source.spatial_dims == array.ndim - 1
    region = (slice(1, 3), slice(4, 15), slice(2, 9))[3 - array.ndim + 1 :]
    for where in (None, region):
        assert np.array_equal(source.read(item, where).image, array[(slice(None), *(where or ()))])
    assert np.array_equal(
        source.read(item, region, (len(array) - 1,)).image, array[(slice(-1, None), *region)]
    )


def test_compressed_files_are_decoded_once(tmp_path, scratch):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib")
    source = Tiff(tmp_path, scratch=scratch)
    (item,) = source.items()
    for start in range(4):
        assert isinstance(source.read(item, (slice(start, start + 1),) * 3).image.base, np.memmap)
    assert len(list(scratch.directory.glob("*.npy"))) == 1


def test_labels_are_paired_by_id(tmp_path, scratch):
    for folder, name in (("images", "img_3"), ("labels", "3_mask")):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / f"{name}.TIFF", STACK)
    source = Tiff(tmp_path, scratch=scratch)
    (item,) = source.items()
    assert np.array_equal(source.read(item).label, STACK)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("write", [tifffile.imwrite, plain_pages])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_a_cut_off_file_is_never_a_shorter_stack(tmp_path, scratch, write, compression, share):
    path = tmp_path / "a.tif"
    write(path, STACK, compression=compression)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    source = Tiff(tmp_path, scratch=scratch)
    with pytest.raises(DataError, match=r"a\.tif: no readable TIFF image"):
        shape = source.shape(source.items()[0])
        image = source.read(source.items()[0]).image
        assert (shape, image.shape) == ((1, *STACK.shape),) * 2
        assert np.array_equal(image[0], STACK)
        raise DataError("a.tif: no readable TIFF image, but all pages are there")


def test_what_is_no_image_or_stack_is_refused(tmp_path, scratch):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(STACK[0])
        file.write(COLOURS, photometric="rgb")
    tifffile.imwrite(tmp_path / "c.tif", COLOURS, photometric="rgb")
    tifffile.imwrite(tmp_path / "d.tif", STACK.reshape(3, 2, 20, 24), imagej=True, metadata={"axes": "TZYX"})
    source = Tiff(tmp_path, scratch=scratch)
    _, b, c, d = source.items()
    for item, message in (
        (b, r"b\.tif: .*2 different images in it"),
        (c, r"c\.tif: has the shape \(20, 24, 3\), expected \[X, Y, Z\]"),
        (d, r"d\.tif: .*axes TZYX"),
    ):
        with pytest.raises(DataError, match=message):
            source.shape(item)
