"""Labels are taken as stored unless a mapping is given; never a value that is no class."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nifti_files import save_nifti

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.item_facts import ItemFacts, load, save
from ucf_vit.data.loader.tile_reader import TileReader
from ucf_vit.data.values.label_map import IGNORED, LabelMap
from ucf_vit.data.values.labels import NO_VALUES, TOLERANCE, LabelValues, label_values
from ucf_vit.data.values.normalization import Affine


def converted(label: np.ndarray, mapping: dict[int | str, int], ignore: int | None = None) -> list[int]:
    out = np.full(label.shape, -99, np.int64)
    LabelMap.of(mapping, ignore).convert(label, out)
    return out.tolist()


def check(label: list[float] | np.ndarray, mapping: dict[int | str, int], ignore: int | None = None) -> None:
    LabelMap.of(mapping, ignore).check(label_values(np.asarray(label)), 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_as_stored(dtype):
    label = np.array([0, 1, 2, 5], dtype)
    assert converted(label, {}) == [0, 1, 2, 5]
    assert label_values(label).values.tolist() == [0, 1, 2, 5]


def test_mapping_swaps_at_once_and_leaves_the_rest():
    mapping = {1: 2, 2: 1, -1: 0, 200: 3, 77: 4}
    assert converted(np.array([-1, 0, 1, 2, 200], np.int16), mapping) == [0, 0, 2, 1, 3]


def test_values_after_the_mapping_have_to_be_classes():
    check([0, 1, 117], {117: 2})
    LabelMap.of({}).check(label_values(np.array([0, 1, 117])), None)
    told = r"label value\(s\) 117 outside \[0, 3\).*'>0': 1.*data\.ignore_label"
    with pytest.raises(DataError, match=told):
        check([0, 1, 117], {})
    for ignore in (None, 255):
        with pytest.raises(DataError, match="label value"):
            check([-1, 0], {}, ignore)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_near_whole_numbers_are_these(dtype):
    label = np.array([0.9999999, -1e-7, 2.0004, 1.9996, 0], dtype)
    found = label_values(label)
    assert found.values.tolist() == [0, 1, 2] and found.low > found.high and not found.nan
    assert converted(label, {}) == converted(label, {">2": 0}) == [1, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ([0.0, 0.5], r"holds 0\.5, which is no whole number within 0\.001.*\{NAME: \{'>0': 1\}\}"),
        ([0.0, 1.0 - 2 * TOLERANCE], r"holds 0\.998"),
        ([0.0, np.inf], "holds inf"),
        ([0.0, 1e30], r"holds values up to 1e\+30, no class numbers"),
        ([-(2**40), 0, 2**21], "holds values up to -1099511627776, no class numbers"),
        (
            [0.0, np.nan],
            r"holds NaN: .*\{NAME: \{nan: 0\}\}; or.*\{NAME: \{nan: 255\}\} and data\.ignore_label: 255",
        ),
    ],
)
def test_values_that_are_no_classes_are_errors_with_value_and_option(label, told):
    with pytest.raises(DataError, match=told):
        check(label, {})


@pytest.mark.parametrize(
    ("label", "mapping", "ignore", "numbers"),
    [
        ([0.0, 0.2, 0.7, 1.0, 9.0], {">0": 1}, None, [0, 1, 1, 1, 1]),
        ([0, 3, 70_000_000], {">0": 1}, None, [0, 1, 1]),
        ([0, 1, 5, 300], {"1..255": 1, 300: 2}, None, [0, 1, 1, 2]),
        ([0, 1, 5], {">0": 1, 5: 2}, None, [0, 1, 2]),
        ([-3, 0, 3], {"<0": 2, ">=3": 1}, None, [2, 0, 1]),
        ([np.nan, 0, 1], {"nan": 0}, None, [0, 0, 1]),
        ([np.nan, 0, 1], {"nan": 255}, 255, [IGNORED, 0, 1]),
        ([0, 2, 255], {}, 255, [0, 2, IGNORED]),
        ([0, 1, 7, 8], {">6": -5}, -5, [0, 1, IGNORED, IGNORED]),
        ([0, 1, 2], {0: 255, 1: 0, 2: 1}, 255, [IGNORED, 0, 1]),
        ([0, 1, 2], {}, 0, [IGNORED, 1, 2]),
    ],
)
def test_ranges_nan_and_ignored_values(label, mapping, ignore, numbers):
    check(label, mapping, ignore)
    for array in (np.asarray(label), np.asfortranarray(np.tile(label, (3, 4, 1)))):
        assert np.array_equal(converted(array, mapping, ignore), np.broadcast_to(numbers, array.shape))


def test_a_range_has_to_have_all_that_lies_between():
    check([0, 0.5, 0.7], {">0": 1})
    for mapping in ({"0.6..1": 1}, {"0..0.6": 1}, {"0..0.55": 1, "0.65..1": 2}):
        with pytest.raises(DataError, match="no whole number"):
            check([0, 0.5, 0.7], mapping)


@given(st.lists(st.sampled_from([0, 1, 2, 5, 255]), min_size=1, max_size=9))
def test_single_values_and_ranges_say_the_same(values):
    label = np.array(values, np.int32)
    single = converted(label, {1: 1, 2: 1, 5: 1, 255: 1})
    assert single == converted(label, {">0": 1}) == converted(label.astype(float), {"1..255": 1})


def test_values_of_a_large_label_in_any_order():
    label = np.zeros((130, 120, 110), np.uint8, order="F")
    label[-1, -1, -1] = 9
    assert label_values(label).values.tolist() == [0, 9]
    real = label.astype(np.float32)
    real[0, 0, 0], real[1, 1, 1] = 0.25, np.nan
    assert label_values(real)[1:] == (0.25, 0.25, True) and label_values(real).values.tolist() == [0, 9]


def test_facts_are_kept_whole(tmp_path):
    for label in (NO_VALUES, LabelValues(np.array([0, 4]), 0.5, 7.5, True)):
        facts = ItemFacts(Affine(np.zeros(2), np.ones(2)), label)
        save(facts, tmp_path / "facts.npz")
        again = load(tmp_path / "facts.npz")
        assert again.label[1:] == label[1:] and again.label.values.tolist() == label.values.tolist()


@pytest.mark.parametrize("tile", [8, 16])
def test_tiles_and_whole_items_read_alike(tmp_path: Path, scratch, tile: int) -> None:
    noise = np.random.default_rng(0)
    label = noise.choice([0.0, 0.3, 1.0000001, 4.0, np.nan], (16, 16, 16)).astype(np.float32)
    for folder, array in (("imagesTr", noise.random((16, 16, 16), np.float32)), ("labelsTr", label)):
        save_nifti(tmp_path / f"{folder}/a.nii", array)
    options = {"num_classes": 2, "label_mapping": {">0": 1, 4: 9, "nan": 9}, "ignore_label": 9}
    data = build_dataset("x", "basic_ct", tmp_path, tile_size=(tile,) * 3, scratch=scratch, **options)
    reader = TileReader(data, data.channels)
    whole = reader.whole(0).label
    image, part = np.empty((1, *(tile,) * 3), np.float32), np.empty((tile,) * 3, np.int64)
    reader.read(0, 0, {"image": image, "label": part})
    expected = np.where(np.isnan(label) | (label == 4), IGNORED, label > 0)
    assert np.array_equal(whole, expected) and np.array_equal(part, expected[:tile, :tile, :tile])


@pytest.mark.parametrize("kind", ["minmax", "zscore", "window", "percentiles", "mean_std", "none"])
@pytest.mark.parametrize("tile", [4, 8])
def test_nan_in_images_stands_for_a_number(tmp_path: Path, scratch, kind: str, tile: int) -> None:
    image = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    image[:3], image[0, 0, 0] = np.nan, 7
    for name, array in (("nan", image), ("filled", np.where(np.isnan(image), np.float32(-2), image))):
        save_nifti(tmp_path / f"{name}/imagesTr/a.nii", array)
    how = {"kind": kind, "low": 0.1, "high": 0.6, "mean": [0.5], "std": [2.0]}
    options = {"tile_size": (tile,) * 3, "labels": False, "normalization": how, "scratch": scratch}
    read = []
    for name, nan in (("nan", -2.0), ("filled", None)):
        data = build_dataset("x", "basic_ct", tmp_path / name, nan=nan, **options)
        out = np.empty((1, *(tile,) * 3), np.float32)
        TileReader(data, data.channels).read(0, 0, {"image": out})
        read.append(out)
    assert np.allclose(*read, atol=1e-6) and np.isfinite(read[0]).all()
    data = build_dataset("x", "basic_ct", tmp_path / "nan", **options)
    with pytest.raises(DataError, match=r"a\.nii.*channel 0 holds NaN.*data\.dict_nan"):
        TileReader(data, data.channels).read(0, 0, {"image": out})
