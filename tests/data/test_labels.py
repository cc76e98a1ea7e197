"""Labels are taken as stored unless a mapping is given."""

import numpy as np
import pytest

from ucf_vit.core.errors import DataError
from ucf_vit.data import labels


def converted(stored: np.ndarray, mapping: dict[int, int]) -> list[int]:
    out = np.full(stored.shape, -99, np.int64)
    labels.convert(stored, mapping, out)
    return out.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_as_stored(dtype):
    stored = np.array([0, 1, 2, 5], dtype)
    assert converted(stored, {}) == [0, 1, 2, 5]
    assert labels.values_of(stored).tolist() == [0, 1, 2, 5]


def test_mapping_swaps_at_once_and_leaves_the_rest():
    assert converted(np.array([-1, 0, 1, 2, 200], np.int16), {1: 2, 2: 1, -1: 0, 200: 3, 77: 4}) == [
        0,
        0,
        2,
        1,
        3,
    ]


def test_values_after_the_mapping_have_to_be_classes():
    values = np.array([0, 1, 117])
    labels.check(values, {117: 2}, 3)
    labels.check(values, {}, None)
    with pytest.raises(DataError, match=r"label value\(s\) 117 outside \[0, 3\)"):
        labels.check(values, {}, 3)
    with pytest.raises(DataError, match="label value"):
        labels.check(np.array([-1, 0]), {}, 3)


@pytest.mark.parametrize("stored", [[0.0, 0.5], [0.0, np.nan], [0.0, np.inf], [0.0, 1e30]])
def test_what_is_no_class_number_is_refused(stored):
    with pytest.raises(DataError, match=r"class numbers|whole numbers"):
        labels.values_of(np.array(stored))


def test_values_of_a_large_label_in_any_order():
    stored = np.zeros((130, 120, 110), np.uint8, order="F")
    stored[-1, -1, -1] = 9
    assert labels.values_of(stored).tolist() == [0, 9]
