"""TIFF images and stacks, however they are stored."""

import io
import logging

import numpy as np
import pytest
from PIL import Image, ImageOps

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


def test_files_without_an_image_or_stack_are_refused(tmp_path, scratch):
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


def image_and_label(root, scratch):
    source = Tiff(root, scratch=scratch)
    (item,) = source.items()
    sample = source.read(item)
    assert source.shape(item) == sample.image.shape
    return sample.image[0], sample.label


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Returns the image with this tag as Pillow shows it."""
    tag = Image.Exif()
    tag[0x0112] = orientation
    stored = io.BytesIO()
    Image.fromarray(array).save(stored, "png", exif=tag)
    return np.asarray(ImageOps.exif_transpose(Image.open(stored)))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_lie_as_their_orientation_says(tmp_path, scratch, orientation, compression):
    tags = {"extratags": [(274, "H", 1, orientation, True)], "compression": compression}
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", STACK[0], **tags)
    image, label = image_and_label(tmp_path, scratch)
    assert np.array_equal(image, turned(STACK[0], orientation))
    assert np.array_equal(label, image)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_so_do_stacks_and_colours(tmp_path, scratch, orientation):
    tags = {"extratags": [(274, "H", 1, orientation, True)]}
    tifffile.imwrite(tmp_path / "a.tif", STACK, **tags)
    source = Tiff(tmp_path, scratch=scratch)
    image = source.read(source.items()[0]).image[0]
    assert np.array_equal(image, np.stack([turned(page, orientation) for page in STACK]))
    assert source.shape(source.items()[0]) == (1, *image.shape)
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, photometric="rgb", **tags)
    source = Tiff(tmp_path, ("r", "g", "b"), scratch)
    image = source.read(source.items()[0], (slice(0, 7), slice(3, 9))).image
    assert np.array_equal(np.moveaxis(image, 0, -1), turned(COLOURS, orientation)[:7, 3:9])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_large_numbers_are_bright_but_labels_are_as_stored(tmp_path, scratch, dtype, compression):
    stored = STACK[0].astype(np.uint8) if dtype is np.uint8 else STACK[0]
    stored = stored > 5000 if dtype is bool else stored
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(
            tmp_path / folder / "a.tif", stored, photometric="miniswhite", compression=compression
        )
    image, label = image_and_label(tmp_path, scratch)
    assert np.array_equal(image, ~stored if dtype is bool else np.iinfo(dtype).max - stored)
    assert np.array_equal(label, stored)


def test_12_bits_are_turned_over_in_12_bits(tmp_path, scratch):
    stored = STACK[0] % 4096
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    source = Tiff(tmp_path, scratch=scratch)
    assert np.array_equal(source.read(source.items()[0]).image[0], 65535 - stored)


def test_fractions_that_are_white_where_small_and_colours_by_number_are_refused(tmp_path, scratch):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    palette = np.zeros((3, 256), np.uint16)
    grey = COLOURS[..., 0]
    tifffile.imwrite(tmp_path / "labels/a.tif", grey, photometric="palette", colormap=palette)
    for options, message in (
        ({"photometric": "miniswhite"}, "small .* values are white"),
        ({"photometric": "palette", "colormap": palette}, "its photometric interpretation is PALETTE"),
        ({"photometric": "cielab"}, "its photometric interpretation is CIELAB"),
    ):
        image = {"miniswhite": STACK[0].astype(np.float32), "cielab": COLOURS}.get(
            options["photometric"], grey
        )
        tifffile.imwrite(tmp_path / "images/a.tif", image, **options)
        source = Tiff(tmp_path, scratch=scratch)
        for use in (source.shape, source.read):
            with pytest.raises(DataError, match=rf"images/a\.tif: .*{message}"):
                use(source.items()[0])
    tifffile.imwrite(tmp_path / "images/a.tif", grey)
    assert np.array_equal(image_and_label(tmp_path, scratch)[1], grey)


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_a_missing_page_is_noticed_where_nothing_is_logged(tmp_path, scratch, level):
    logger = logging.getLogger("tifffile")
    before = logger.level
    plain_pages(tmp_path / "a.tif", STACK, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        end = file.pages[3].offset
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:end])
    logger.setLevel(level)
    try:
        source = Tiff(tmp_path, scratch=scratch)
        with pytest.raises(
            DataError, match=r"a\.tif: no readable TIFF image \(it (ends too early|is damaged)"
        ):
            source.shape(source.items()[0])
    finally:
        logger.setLevel(before)
