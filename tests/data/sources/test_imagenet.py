"""The source of images in class folders."""

import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources import ImageNet

GRADIENT = np.stack(np.broadcast_arrays(np.arange(40)[:, None] * 6, np.arange(60) * 4, 77), -1).astype(
    np.uint8
)


def only(tmp_path, image: Image.Image, name: str, **options) -> np.ndarray:
    (tmp_path / "cat").mkdir()
    image.save(tmp_path / "cat" / name)
    source = ImageNet(tmp_path, **options)
    item = source.items()[0]
    sample = source.read(item)
    assert sample.image.shape == source.shape(item)
    return sample.image


def test_rgb_in_0_to_1_with_the_class(tmp_path):
    values = only(tmp_path, Image.fromarray(GRADIENT), "a.PNG")
    assert np.allclose(values, np.moveaxis(GRADIENT, -1, 0) / 255)
    source = ImageNet(tmp_path)
    assert source.class_names == ("cat",)
    assert int(source.read(source.items()[0]).label) == 0


def test_one_variable_is_grey(tmp_path):
    values = only(tmp_path, Image.fromarray(GRADIENT), "a.png", variables=["grey"])
    expected = np.asarray(Image.fromarray(GRADIENT).convert("L"))[None] / 255
    assert values.shape == (1, 40, 60) and np.abs(values - expected).max() < 1 / 255
    source = ImageNet(tmp_path, ["grey"])
    assert source.read(source.items()[0], (slice(3, 9), slice(0, 5)), [0]).image.shape == (1, 6, 5)
    dataset = build_dataset("x", "imagenet", tmp_path, tile_size=(8, 8), variables=["grey"])
    assert dataset.channels == (0,) and len(dataset.normalization.mean) == 1
    with pytest.raises(DataError, match="3 variables, or 1 for grey, got a, b"):
        ImageNet(tmp_path, ["a", "b"])


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_other_png_modes_become_rgb(tmp_path, mode):
    image = (
        Image.fromarray(GRADIENT[..., 0].astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(GRADIENT).convert(mode)
    )
    values = only(tmp_path, image, "a.png")
    assert values.shape == (3, 40, 60)
    assert values.min() >= 0 and 0.5 < values.max() <= 1
    if mode in ("L", "LA", "1", "I;16"):
        assert np.array_equal(values[0], values[2])
    if mode == "I;16":
        assert np.allclose(values[0], GRADIENT[..., 0] / 255, atol=1e-6)


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(GRADIENT).convert("P")
    (tmp_path / "cat").mkdir()
    image.save(tmp_path / "cat" / "a.png", transparency=bytes(range(256)))
    assert ImageNet(tmp_path).read(ImageNet(tmp_path).items()[0]).image.shape == (3, 40, 60)


def test_cmyk_jpeg(tmp_path):
    values = only(tmp_path, Image.fromarray(GRADIENT).convert("CMYK"), "a.jpg")
    assert np.abs(values - np.moveaxis(GRADIENT, -1, 0) / 255).mean() < 0.03


@pytest.mark.parametrize("size", [(8, 8), (13, 17), (100, 30), (90, 120)])
def test_resizing_stays_in_range_and_keeps_the_mean(tmp_path, size):
    values = only(tmp_path, Image.fromarray(GRADIENT), "a.png", resize=size)
    assert values.shape == (3, *size)
    whole = np.moveaxis(GRADIENT, -1, 0) / 255
    for channel, original in zip(values, whole, strict=True):
        assert original.min() - 1e-6 <= channel.min() and channel.max() <= original.max() + 1e-6
        assert abs(channel.mean() - original.mean()) < 0.01


def test_shrinking_does_not_alias(tmp_path):
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[::4] = 255
    values = only(tmp_path, Image.fromarray(lines), "a.png", resize=(8, 8))
    assert np.abs(values - 0.25).max() < 0.1  # every line counts, none is lost or doubled


def test_a_cut_jpeg_is_an_error_not_a_grey_image(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "cat").mkdir()
    path = tmp_path / "cat" / "a.jpg"
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    for source in (ImageNet(tmp_path), ImageNet(tmp_path, resize=(16, 16))):
        with pytest.raises(DataError, match=r"a\.jpg: no readable image .*truncated"):
            source.read(source.items()[0])


@pytest.mark.parametrize("content", [b"", b"GIF89a....", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_files_that_are_no_images_are_named(tmp_path, content):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(content)
    source = ImageNet(tmp_path)
    for use in (source.shape, source.read):
        with pytest.raises(DataError, match=r"cat/a\.png"):
            use(source.items()[0])


@pytest.fixture
def classes(tmp_path):
    root = tmp_path / "classes"
    for index, name in enumerate(["b", "a", "c", ".hidden"]):
        (root / name).mkdir(parents=True)
        for number in range(5 + index):
            Image.new("RGB", (4, 4), (index, number, 0)).save(root / name / f"{number}.png")
        (root / name / "notes.txt").write_text("x")
        (root / name / "._0.png").write_text("x")
    return root


def test_classes_are_the_sorted_folders(classes):
    source = ImageNet(classes)
    assert source.class_names == ("a", "b", "c")
    assert [item.key for item in source.items()][:7] == [f"a/{i}.png" for i in range(6)] + ["b/0.png"]
    assert [item.class_index for item in source.items()] == [0] * 6 + [1] * 5 + [2] * 7


def test_index_ranges_hold_in_every_class(classes, scratch):
    def part(start: float, end: float) -> list[str]:
        data = build_dataset(
            "x", "imagenet", classes, tile_size=(4, 4), start=start, end=end, scratch=scratch
        )
        return [item.key for item in data.items]

    train, validation = part(0, 0.6), part(0.6, 1)
    assert [sum(key[0] == c for key in train) for c in "abc"] == [3, 3, 4]
    assert not set(train) & set(validation)
    assert sorted(train + validation) == part(0, 1)


@pytest.mark.parametrize("empty", ["no classes", "empty class", "no directory"])
def test_missing_images_are_named(tmp_path, empty):
    root = tmp_path / "root"
    if empty != "no directory":
        root.mkdir()
    if empty == "empty class":
        (root / "dog").mkdir()
    with pytest.raises(DataError, match="dog: no" if empty == "empty class" else "root: "):
        ImageNet(root).items()


def test_real_images(shared_data):
    source = ImageNet(shared_data / "sign_digits", resize=(32, 48))
    items = source.items()
    assert source.class_names == tuple("0123456789")
    assert len(items) == 500
    image = source.read(items[77]).image
    assert image.shape == (3, 32, 48) and image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1
