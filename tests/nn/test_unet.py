import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.nn.unetr_decoder import UnetDecoder, Upsample, stages_of


@given(st.lists(st.integers(1, 512), min_size=2, max_size=3))
def test_stages_are_the_prime_factors_of_each_side(patch):
    steps = stages_of(patch)
    for side, factors in zip(patch, zip(*steps, strict=True), strict=True):
        assert math.prod(factors) == side
        assert list(factors) == sorted(factors, reverse=True), "an axis that is done stays at its size"
        assert all(all(f % d for d in range(2, f)) for f in factors)
    assert len(steps) == 1 or all(max(factors) > 1 for factors in steps), "no stage without upsampling"


def test_stages_of_the_published_network():
    assert stages_of((16, 16, 16)) == [(2, 2, 2)] * 4
    assert UnetDecoder(1, 8, 2, (16,) * 3, 2, skips=True).taps(12) == [9, 6, 3]


def test_stages_close_to_the_pixels_leave_the_axis_of_few_voxels_as_it_is():
    assert stages_of((16, 16, 8)) == [(2, 2, 2)] * 3 + [(2, 2, 1)]
    assert stages_of((12, 8, 1)) == [(3, 2, 1), (2, 2, 1), (2, 2, 1)]
    assert UnetDecoder(1, 8, 2, (16, 16, 8), 2, skips=True).taps(12) == [9, 6, 3]


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 12, 24, 32])
@pytest.mark.parametrize("patch", [1, 2, 4, 6, 16, 32])
def test_taps_are_blocks_deepest_first(patch, depth):
    taps = UnetDecoder(1, 8, 1, (patch, patch), 2, skips=True).taps(depth)
    assert len(taps) == len(stages_of((patch, patch))) - 1
    assert taps == sorted(taps, reverse=True)
    assert all(0 <= tap < depth for tap in taps)


@pytest.mark.parametrize("factors", [(2, 2), (3, 3), (3, 1), (1, 1, 1), (2, 2, 2), (2, 2, 1), (1, 3, 2)])
def test_upsampling_is_a_transposed_convolution(factors):
    up = Upsample(5, 4, factors).double()
    x = torch.randn(2, *(3, 2, 4)[: len(factors)], 5, dtype=torch.float64)
    kernel = up.linear.weight.T.view(5, *factors, 4).movedim(-1, 1)
    transposed = {2: F.conv_transpose2d, 3: F.conv_transpose3d}[len(factors)]
    expected = transposed(x.movedim(-1, 1), kernel, stride=factors).movedim(1, -1)
    torch.testing.assert_close(up(x), expected)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(
    "patch", [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (16, 16), (8, 2), (1, 6), (4, 4, 2)]
)
def test_logits_for_every_pixel(patch, skips):
    decoder = UnetDecoder(3, 8, 2, patch, 5, skips)
    grid = (2, 3, 2)[: len(patch)]
    image = torch.randn(1, 3, *(p * n for p, n in zip(patch, grid, strict=True)))
    maps = [torch.randn(1, *grid, 8) for _ in decoder.taps(12)]
    logits = decoder(image, maps, torch.randn(1, *grid, 8))
    assert logits.shape == (1, 5, *image.shape[2:])
    assert logits.is_contiguous()


def test_without_skips_neither_image_nor_inner_blocks_matter():
    decoder = UnetDecoder(1, 8, 2, (4, 4), 2, skips=False)
    last = torch.randn(1, 2, 2, 8)
    assert decoder.taps(12) == []
    assert torch.equal(decoder(torch.zeros(1, 1, 8, 8), [], last), decoder(torch.ones(1, 1, 8, 8), [], last))
