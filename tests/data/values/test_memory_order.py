"""Changing over from the order of the file to that of a tensor keeps every value in its place."""

import itertools

import numpy as np
import pytest

from ucf_vit.data.values.memory_order import compact

AXES = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_values_stay_in_place(axes, flips):
    array = np.flip(np.arange(5 * 6 * 7).reshape(5, 6, 7).transpose(axes), flips)
    assert np.array_equal(compact(array), array)


def test_c_contiguous_arrays_are_not_copied():
    array = np.zeros((4, 5, 6))
    assert np.shares_memory(compact(array), array)
    assert not np.shares_memory(compact(array.T), array)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 4, 5)])
def test_any_number_of_axes(shape):
    array = np.asfortranarray(np.random.default_rng(0).random(shape))
    assert np.array_equal(compact(array), array)
