"""Pictures with masks: grey values, palettes, colours, instances."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.sources.layouts.image_masks import ImageMasks

PIXELS = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
CLASSES = np.random.default_rng(1).integers(0, 3, (9, 7)).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [16, 32, 48]], np.uint8)


def save(root: Path, mask: Image.Image, image: np.ndarray = PIXELS, folder: str = "masks") -> Path:
    for name in ("images", folder):
        (root / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "images/img_1.jpg", quality=100)
    Image.fromarray(image).save(root / "images/img_1.png")
    (root / "images/img_1.jpg").unlink()
    mask.save(root / folder / "1_mask.png")
    return root


def palette() -> Image.Image:
    mask = Image.fromarray(CLASSES, mode=None).convert("P")
    mask.putdata(CLASSES.ravel().tolist())
    mask.putpalette(COLOURS.ravel().tolist())
    return mask


MASKS = {
    "grey": Image.fromarray(CLASSES),
    "palette": palette(),
    "16 bit": Image.fromarray(CLASSES.astype(np.uint16)),
    "grey as RGB": Image.fromarray(np.repeat(CLASSES[..., None], 3, -1)),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_with_numbers(tmp_path: Path, scratch, kind: str) -> None:
    source = ImageMasks(save(tmp_path, MASKS[kind]), ("r", "g", "b"), scratch=scratch)
    (item,) = source.items()
    assert item.key == "1" and source.shape(item) == (3, 9, 7)
    sample = source.read(item, (slice(2, 6), slice(1, 7)), channels=(2,))
    assert np.array_equal(sample.image, PIXELS[2:6, 1:7, 2][None])
    assert np.array_equal(sample.label, CLASSES[2:6, 1:7])


@pytest.mark.parametrize("mask", [Image.fromarray(COLOURS[CLASSES]), palette()], ids=["RGB", "palette"])
def test_colours_in_the_order_of_the_classes(tmp_path: Path, scratch, mask: Image.Image) -> None:
    save(tmp_path, mask, folder="labels")
    source = ImageMasks(tmp_path, colours=["#000000", [255, 0, 0], "#102030"], scratch=scratch)
    assert np.array_equal(source.read(source.items()[0]).label, CLASSES)
    reordered = ImageMasks(tmp_path, colours=["#102030", "#000000", "#ff0000"], scratch=scratch)
    assert np.array_equal(reordered.read(reordered.items()[0]).label, np.array([1, 2, 0])[CLASSES])
    few = ImageMasks(tmp_path, colours=["#000000", "#ff0000"], scratch=scratch)
    with pytest.raises(DataError, match=r"1_mask\.png: .* of 63 pixels have colours .*'#102030'"):
        few.read(few.items()[0])


def test_colours_have_to_be_named(tmp_path: Path, scratch) -> None:
    source = ImageMasks(save(tmp_path, Image.fromarray(COLOURS[CLASSES])), scratch=scratch)
    with pytest.raises(
        DataError, match=r"1_mask\.png: the mask has colours, .*'#ff0000'.*data\.dict_options"
    ):
        source.read(source.items()[0])


@pytest.mark.parametrize(
    ("colours", "message"),
    [
        (["red"], "colour 'red': expected one such as '#ff0000'"),
        ([[0, 0, 256]], r"colour \[0, 0, 256\]"),
        (["#ff0000", [255, 0, 0]], "a colour is there twice"),
    ],
)
def test_what_is_no_colour(tmp_path: Path, colours: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageMasks(tmp_path, colours=colours)


def test_instances_are_one_class_and_stay_apart(tmp_path: Path, scratch) -> None:
    numbers = np.arange(63, dtype=np.uint16).reshape(9, 7) * 900
    save(tmp_path, Image.fromarray(numbers))
    data = build_dataset(
        "nuclei",
        "pairs",
        tmp_path,
        tile_size=(9, 7),
        num_classes=2,
        label_mapping={">0": 1},
        options={"instances": True},
        scratch=scratch,
    )
    (batch,) = Stream([data], batch_size=1, seed=0)
    assert np.array_equal(batch.label[0], numbers > 0)
    assert np.array_equal(batch.extra["instances"][0], numbers)


def test_one_folder_of_masks(tmp_path: Path) -> None:
    save(tmp_path, MASKS["grey"])
    save(tmp_path, MASKS["grey"], folder="labels")
    with pytest.raises(DataError, match="has masks and labels; keep the folder of the masks to train on"):
        ImageMasks(tmp_path).items()
    with pytest.raises(DataError, match=r"pictures have 1 variable \(grey\), 3 .* got a, b"):
        ImageMasks(tmp_path, ("a", "b"))


def test_pictures_without_masks(tmp_path: Path, scratch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    source = ImageMasks(tmp_path, scratch=scratch)
    assert [item.label for item in source.items()] == [None]
    with pytest.raises(DataError, match=r"a\.png: has no mask; the option instances needs one"):
        one = ImageMasks(tmp_path, instances=True, scratch=scratch)
        one.read(one.items()[0])


def test_a_mask_of_another_size(tmp_path: Path, scratch) -> None:
    source = ImageMasks(save(tmp_path, Image.fromarray(CLASSES[:-1])), scratch=scratch)
    with pytest.raises(DataError, match=r"1_mask\.png: shape \(8, 7\) is not that of the image, \(9, 7\)"):
        source.shape(source.items()[0])
