"""The convolutional stem: equal to plain convolutions over the image, for sides that differ."""

import pytest
import torch
from torch import nn

from ucf_vit.core.errors import UserError
from ucf_vit.models import VIT
from ucf_vit.nn.embedding.conv_stem import ConvStem
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.uniform import PatchGrid


def plain(stem: ConvStem, image: torch.Tensor) -> torch.Tensor:
    """Channels first, layer by layer."""
    for layer in stem:
        image = layer.conv(image)
        norm = layer.norm
        image = torch.relu(
            nn.functional.layer_norm(
                image.movedim(1, -1), norm.normalized_shape, norm.weight, norm.bias, norm.eps
            )
        ).movedim(-1, 1)
    return image.flatten(2).transpose(1, 2)


@pytest.mark.parametrize(
    ("tile", "patch", "strides"),
    [
        ((16, 8), (4, 4), [(2, 2), (2, 2)]),
        ((16, 8), (8, 2), [(2, 2), (2, 1), (2, 1)]),
        ((8, 8, 4), (4, 4, 1), [(2, 2, 1), (2, 2, 1)]),
        ((4, 6), (1, 1), []),
    ],
)
def test_equals_convolutions_of_the_image(tile, patch, strides):
    grid = PatchGrid(3, tile, patch)
    stem = ConvStem(grid, 10).double()
    image = torch.randn(2, 3, *tile, dtype=torch.float64)
    tokens = stem(grid.split(image))
    assert [layer.conv.stride for layer in stem][3:] == strides
    assert tokens.shape == (2, grid.num_tokens, 10)
    assert torch.allclose(tokens, plain(stem, image))


def test_tokens_see_the_pixels_of_their_neighbours():
    options = InputOptions(in_channels=1, tile_size=(16, 16), patch_size=4, stem="conv")
    model = VIT(options, EncoderOptions(embed_dim=8, depth=1, num_heads=2), num_classes=3)
    image = torch.randn(1, 1, 16, 16, requires_grad=True)
    model.embed(model.input.split(image).values)[0, 5].sum().backward()
    assert image.grad[0, 0, 3, 5] != 0, "a pixel above its patch of rows 4 to 7"


def test_where_it_cannot_serve():
    with pytest.raises(UserError, match=r"patch_size \[6, 4\]: take powers of 2"):
        ConvStem(PatchGrid(1, (12, 8), (6, 4)), 8)
    with pytest.raises(UserError, match="leave out use_varemb and adaptive_patching"):
        InputOptions(in_channels=1, tile_size=(8, 8), stem="conv", adaptive_patching=True)
