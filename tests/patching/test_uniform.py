import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.uniform import PatchGrid, patchify, unpatchify

grids = st.lists(st.integers(1, 4), min_size=2, max_size=3)
sides = st.lists(st.integers(1, 5), min_size=3, max_size=3)


@given(grid=grids, sides=sides, channels=st.integers(1, 3), batch=st.integers(1, 2))
def test_unpatchify_inverts_patchify(grid, sides, channels, batch):
    patch = sides[: len(grid)]
    image = torch.randn(batch, channels, *(p * n for p, n in zip(patch, grid, strict=True)))
    tokens = patchify(image, patch)
    assert tokens.shape == (batch, math.prod(grid), channels * math.prod(patch))
    if len(set(patch)) == 1:
        assert torch.equal(patchify(image, patch[0]), tokens)
    assert torch.equal(unpatchify(tokens, patch, image.shape[2:]), image)


def test_tokens_are_row_major_and_values_channel_first():
    image = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    tokens = patchify(image, 2)
    assert torch.equal(tokens[0, 4].view(2, 2, 2), image[0, :, 2:4, 2:4])


@given(grid=grids, sides=sides)
def test_embedding_patches_is_a_strided_convolution(grid, sides):
    patch = sides[: len(grid)]
    image = torch.randn(2, 2, *(p * n for p, n in zip(patch, grid, strict=True)), dtype=torch.float64)
    weight = torch.randn(5, 2, *patch, dtype=torch.float64)
    convolved = {2: F.conv2d, 3: F.conv3d}[len(grid)](image, weight, stride=patch)
    embedded = patchify(image, patch) @ weight.flatten(1).T
    assert torch.allclose(embedded, convolved.flatten(2).transpose(1, 2))


def test_a_constant_image_keeps_its_channels_apart():
    image = torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    tokens = patchify(image, 4).view(1, 4, 3, 16)
    assert torch.equal(tokens, image[0, :, 0, 0].view(1, 1, 3, 1).expand_as(tokens))


def test_other_channel_counts_can_be_joined():
    grid = PatchGrid(in_channels=1, tile_size=(4, 8), patch_size=(4, 4))
    assert grid.join(torch.zeros(2, 2, 3 * 16)).shape == (2, 3, 4, 8)


@pytest.mark.parametrize(
    ("tile", "patch", "message"),
    [
        ((30, 32), 16, "patch size 16 does not divide an image of 30 x 32"),
        ((8, 8, 8), 16, "patch size 16"),
        ((8, 8), 0, "patch size 0"),
        ((16, 16, 12), (8, 8, 8), "patch size 8 does not divide an image of 16 x 16 x 12"),
        ((16, 12), (8, 8), "patch size 8 does not"),
        ((12, 16), (4, 6), r"patch size \[4, 6\] does not divide an image of 12 x 16"),
        ((8,), 4, "2 entries"),
        ((8, 8, 8, 8), 4, "2 entries"),
    ],
)
def test_impossible_grids_are_refused(tile, patch, message):
    with pytest.raises(UserError, match=message):
        PatchGrid(
            in_channels=1,
            tile_size=tile,
            patch_size=(patch,) * len(tile) if isinstance(patch, int) else patch,
        )


@pytest.mark.parametrize("shape", [(2, 1, 8, 16), (2, 3, 16, 8), (2, 3, 8, 16, 1), (3, 8, 16)])
def test_an_image_of_another_shape_is_refused_with_both_shapes(shape):
    grid = PatchGrid(in_channels=3, tile_size=(8, 16), patch_size=(4, 4))
    with pytest.raises(UserError, match=r"3 channels x 8 x 16") as error:
        grid.split(torch.zeros(shape))
    assert str(list(shape)) in str(error.value)
