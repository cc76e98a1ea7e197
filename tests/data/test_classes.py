"""Numbers of classes follow from names."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.class_names import class_order, in_words, numbered
from ucf_vit.data.dataset import Dataset
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.loader.whole_items import examples
from ucf_vit.data.sources import Item
from ucf_vit.data.storage.scratch import Scratch
from ucf_vit.data.values.normalization import Normalization

names_of_classes = st.lists(st.text("abcdé", min_size=1, max_size=3), unique=True, max_size=6)


def dataset(name: str, names: Sequence[str], items: int | None = None) -> Dataset:
    """One item of each class, or `items` that are numbered without names."""
    count = len(names) if items is None else items
    made = tuple(Item(f"{n}", f"{name}/{n}", class_index=n) for n in range(count))
    return Dataset(name, None, made, (), (4, 4), (0,), Normalization("none"), None, class_names=tuple(names))


def named(one: Dataset) -> list[str]:
    return [one.class_names[item.class_index] for item in one.items]


@given(st.lists(names_of_classes, min_size=1, max_size=4), names_of_classes)
def test_a_name_has_one_number_in_all_data_sets(sites: list[list[str]], known: list[str]) -> None:
    sets = [dataset(str(number), names) for number, names in enumerate(sites)]
    order = class_order(sets, known)
    assert len(set(order)) == len(order) and order[: len(known)] == tuple(known)
    for one, names in zip(sets, sites, strict=True):
        found = numbered(one, order)
        assert named(found) == names
        assert named(numbered(found, order)) == names, "once more changes nothing"
        assert [item.image for item in found.items] == [item.image for item in one.items]


def test_one_data_set_keeps_its_numbers() -> None:
    one = dataset("a", ["z", "a", "m"])
    assert class_order([one]) == ("z", "a", "m")
    assert numbered(one, class_order([one])) == one
    assert numbered(one, ["z", "a", "m", "x"]).items is one.items


def test_the_order_is_that_of_the_data_sets() -> None:
    sites = [dataset("one", ["cat", "dog"]), dataset("two", ["bird", "dog", "owl"])]
    assert class_order(sites) == ("cat", "dog", "bird", "owl")
    assert class_order(sites, ["dog"]) == ("dog", "cat", "bird", "owl")


def test_only_classes_that_items_have_need_to_be_known() -> None:
    some = dataset("test", ["cat", "dog", "owl"])
    with pytest.raises(DataError, match=r"test: unknown class owl; the classes are dog, cat"):
        numbered(some, ["dog", "cat"])
    with pytest.raises(DataError, match=r"unknown class dgo \(did you mean 'dog'\?\)"):
        numbered(dataset("test", ["dgo"]), ["dog", "cat"])
    without = replace(some, items=some.items[:2])
    assert [item.class_index for item in numbered(without, ["dog", "cat"]).items] == [1, 0]


def test_composed_and_decomposed_accents_are_the_same() -> None:
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    sites = [dataset("one", ["a", composed]), dataset("two", [apart])]
    assert class_order(sites) == ("a", composed)
    assert numbered(sites[1], ("a", composed)).items[0].class_index == 1


def test_numbers_without_names_are_not_mixed_with_names() -> None:
    bare, has = dataset("bare", [], items=2), dataset("has", ["cat"])
    assert class_order([bare]) == () and numbered(bare, ()) == bare
    with pytest.raises(DataError, match="bare: its source does not name its classes"):
        numbered(bare, class_order([bare, has]))


def test_an_item_of_no_class_of_its_source_is_an_error() -> None:
    broken = replace(dataset("a", ["cat"]), items=(Item("0", "0", class_index=3),))
    with pytest.raises(DataError, match="a: its source names 1 classes, and has items of class 3"):
        numbered(broken, ["cat"])


def test_class_numbers_follow_the_names(tmp_path: Path) -> None:
    for name in ("dog", "owl"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name / "0.png")
    made = build_dataset("a", "imagenet", tmp_path, tile_size=(8, 8), num_classes=5, scratch=Scratch())
    assert made.class_names == ("dog", "owl")
    found = numbered(made, ["owl", "cat", "bird", "dog"])
    reader = TileReader(found, found.channels)
    assert [int(reader.whole(number).label) for number in (0, 1)] == [3, 0]
    (batch,) = examples([found])
    assert batch.label.tolist() == [3]


def test_many_names_are_cut_short() -> None:
    assert in_words(["a", "b"]) == "a, b"
    text = in_words([str(n) for n in range(1000)])
    assert text.endswith("19, ... (1000 in all)")
