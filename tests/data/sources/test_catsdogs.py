"""The source of images in one folder."""

import numpy as np
import pytest
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.sources import CatsDogs


def save(root, *names):
    root.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((8, 10, 3), number, np.uint8)).save(root / name)


def test_the_words_before_the_first_dot_are_the_classes(tmp_path):
    save(tmp_path, "dog.0.png", "cat.1.PNG", "cat.0.png", ".hidden.0.png")
    source = CatsDogs(tmp_path)
    items = source.items()
    assert source.class_names == ("cat", "dog")
    assert [(item.key, item.stratum, item.class_index) for item in items] == [
        ("cat.0.png", "cat", 0), ("cat.1.PNG", "cat", 0), ("dog.0.png", "dog", 1)
    ]  # fmt: skip
    samples = [source.read(item) for item in items]
    assert [round(float(sample.image.max() * 255)) for sample in samples] == [2, 1, 0]
    assert [int(sample.label) for sample in samples] == [0, 0, 1]
    assert [source.shape(item) for item in items] == [(3, 8, 10)] * 3


def test_held_out_files_are_taken_of_each_class(tmp_path, scratch):
    save(tmp_path, *[f"{name}.{number}.png" for name in ("cat", "dog") for number in range(4)])
    data = build_dataset("pets", "catsdogs", tmp_path, tile_size=(8, 8), start=0.75, end=1, scratch=scratch)
    assert [item.key for item in data.items] == ["cat.3.png", "dog.3.png"]


def test_a_name_without_a_class_and_an_empty_folder_are_named(tmp_path):
    save(tmp_path / "a", "cat.0.png", "picture.png")
    with pytest.raises(DataError, match=r"picture\.png: expected a name such as cat\.0\.jpg"):
        CatsDogs(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="b: no image found"):
        CatsDogs(tmp_path / "b")
