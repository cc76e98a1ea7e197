import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.nn.unetr_decoder import UnetDecoder, Upsample, stages_of


@given(st.integers(1, 512))
def test_stages_are_the_prime_factors(patch):
    factors = stages_of(patch)
    assert math.prod(factors) == patch
    assert factors == sorted(factors, reverse=True)
    assert factors == [1] or all(all(f % d for d in range(2, f)) for f in factors)


def test_stages_of_the_published_network():
    assert stages_of(16) == [2, 2, 2, 2]
    assert UnetDecoder(3, 1, 8, 2, 16, 2, skips=True).taps(12) == [9, 6, 3]


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 12, 24, 32])
@pytest.mark.parametrize("patch", [1, 2, 4, 6, 16, 32])
def test_taps_are_blocks_deepest_first(patch, depth):
    taps = UnetDecoder(2, 1, 8, 1, patch, 2, skips=True).taps(depth)
    assert len(taps) == len(stages_of(patch)) - 1
    assert taps == sorted(taps, reverse=True)
    assert all(0 <= tap < depth for tap in taps)


@pytest.mark.parametrize(("dims", "factor"), [(2, 2), (2, 3), (3, 1), (3, 2)])
def test_upsampling_is_a_transposed_convolution(dims, factor):
    up = Upsample(dims, 5, 4, factor).double()
    x = torch.randn(2, *(3, 2, 4)[:dims], 5, dtype=torch.float64)
    kernel = up.linear.weight.T.view(5, *[factor] * dims, 4).movedim(-1, 1)
    transposed = {2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]
    expected = transposed(x.movedim(-1, 1), kernel, stride=factor).movedim(1, -1)
    torch.testing.assert_close(up(x), expected)


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("patch", [1, 2, 3, 4, 6, 16])
def test_logits_for_every_pixel(patch, skips):
    decoder = UnetDecoder(2, 3, 8, 2, patch, 5, skips)
    grid = (2, 3)
    image = torch.randn(1, 3, *(patch * n for n in grid))
    maps = [torch.randn(1, *grid, 8) for _ in decoder.taps(12)]
    logits = decoder(image, maps, torch.randn(1, *grid, 8))
    assert logits.shape == (1, 5, *image.shape[2:])
    assert logits.is_contiguous()


def test_without_skips_neither_image_nor_inner_blocks_matter():
    decoder = UnetDecoder(2, 1, 8, 2, 4, 2, skips=False)
    last = torch.randn(1, 2, 2, 8)
    assert decoder.taps(12) == []
    assert torch.equal(decoder(torch.zeros(1, 1, 8, 8), [], last), decoder(torch.ones(1, 1, 8, 8), [], last))
