"""Tiles against the plain definition, for any size, tile and overlap."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tiles import Tiling, tile_axis

overlaps = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9]), st.floats(0, 1, exclude_max=True))


def starts_of(n: int, t: int, overlap: float, use_all: bool) -> list[int]:
    a = tile_axis(n, t, overlap, use_all)
    return [a.start(k) for k in range(a.count)]


@given(st.integers(1, 300), st.integers(1, 80), overlaps, st.booleans())
def test_starts_are_the_documented_range(n, t, overlap, use_all):
    starts = starts_of(n, t, overlap, use_all)
    stride = max(t - int(t * overlap), 1)
    expected = list(range(0, n - t + 1, stride)) or [0]
    if use_all and expected[-1] + t < n:
        expected.append(n - t)
    assert starts == expected


@given(st.integers(1, 300), st.integers(1, 80), overlaps, st.booleans())
def test_no_tile_twice_none_out_of_bounds_and_what_is_covered(n, t, overlap, use_all):
    starts = starts_of(n, t, overlap, use_all)
    assert len(set(starts)) == len(starts)
    assert starts == sorted(starts)
    assert starts[0] == 0
    if n < t:
        assert starts == [0]
        return
    assert all(0 <= s <= n - t for s in starts)
    covered = {x for s in starts for x in range(s, s + t)}
    if use_all:
        assert covered == set(range(n))
    else:
        stride = max(t - int(t * overlap), 1)
        assert covered == set(range(max(covered) + 1))  # no hole
        assert n - len(covered) < stride  # only a remainder that no further tile fits into


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 16)), min_size=1, max_size=3),
    overlaps,
    st.booleans(),
)
def test_numbers_are_row_major_products_of_the_axes(sizes, overlap, use_all):
    shape, tile = zip(*sizes, strict=True)
    tiling = Tiling(shape, tile, overlap, use_all)
    expected = list(itertools.product(*(starts_of(n, t, overlap, use_all) for n, t in sizes)))
    assert [tiling.start(k) for k in range(len(tiling))] == expected
    last = len(tiling) - 1
    assert [s.start for s in tiling.region(last)] == list(expected[-1])
    assert all(s.stop <= n for s, n in zip(tiling.region(last), shape, strict=True))
    assert tiling.padded == any(n < t for n, t in sizes)


def test_slices_of_a_volume_are_tiles_of_depth_one():
    tiling = Tiling((64, 48, 5), (32, 32, 1), overlap=0.5)
    assert tiling.counts == (3, 2, 5)
    assert {tiling.region(k)[2].start for k in range(len(tiling))} == set(range(5))
    assert all(tiling.region(k)[2].stop == tiling.region(k)[2].start + 1 for k in range(len(tiling)))


def test_a_smaller_image_has_one_tile_that_ends_at_its_border():
    tiling = Tiling((20, 70), (32, 32))
    assert tiling.padded
    assert [tiling.region(k) for k in range(len(tiling))] == [
        (slice(0, 20), slice(0, 32)),
        (slice(0, 20), slice(32, 64)),
    ]


def test_billions_of_tiles_cost_nothing():
    tiling = Tiling((100_000,) * 3, (64,) * 3, 0.5, use_all=True)
    assert len(tiling) > 10**10
    assert tiling.region(len(tiling) - 1) == (slice(99_936, 100_000),) * 3


@pytest.mark.parametrize(
    ("shape", "size", "overlap"), [((8, 8), (4,), 0), ((8,), (4,), 1.0), ((8,), (4,), -0.1), ((0,), (4,), 0)]
)
def test_impossible_tilings_are_refused(shape, size, overlap):
    with pytest.raises(UserError):
        Tiling(shape, size, overlap)
