import pytest
import torch
from monai.networks import nets

from ucf_vit.core.errors import UserError
from ucf_vit.models import UNETR
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.weights.pretrained import take
from ucf_vit.weights.recognise import convert

TILES = [(32, 48), (64, 64), (32, 16, 48), (32, 32, 32)]


def pair(tile: tuple[int, ...], in_channels: int = 2, **options) -> tuple[UNETR, nets.UNETR]:
    theirs = nets.UNETR(
        in_channels=in_channels,
        out_channels=3,
        img_size=tile,
        feature_size=8,
        hidden_size=48,
        mlp_dim=96,
        num_heads=4,
        spatial_dims=len(tile),
        **options,
    )
    seen = InputOptions(in_channels=in_channels, tile_size=tile)
    encoder = EncoderOptions(embed_dim=48, num_heads=4, mlp_ratio=2.0)
    ours = UNETR(seen, encoder, num_classes=3, feature_size=8)
    report = take(ours, theirs.state_dict())
    assert not report.initial and all("cross_attn" in name for name in report.left)
    return ours, theirs


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("batch", [1, 2])
def test_same_weights_same_output(tile, batch):
    torch.manual_seed(0)
    ours, theirs = (model.eval() for model in pair(tile))
    image = torch.randn(batch, 2, *tile)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"in_channels": 8}, {"qkv_bias": True}], ids=str)
def test_other_options(options):
    ours, theirs = (model.double().eval() for model in pair((32, 32), **options))
    image = torch.randn(1, ours.grid.in_channels, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("tile", [(32, 48), (32, 16, 32)], ids=str)
def test_same_weights_same_gradients(tile):
    ours, theirs = (model.double() for model in pair(tile))
    image = torch.randn(2, 2, *tile, dtype=torch.float64)
    for model in (ours, theirs):
        model(image).square().mean().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    expected = convert(grads)[1].weights
    for name, parameter in ours.named_parameters():
        if ".attn." not in name or not name.endswith((".q.bias", ".k.bias", ".v.bias")):  # MONAI has none
            torch.testing.assert_close(parameter.grad, expected[name], msg=name)


def test_options_that_do_not_exist_here_are_named():
    theirs = nets.UNETR(1, 2, (32, 32), 4, 16, 32, 2, spatial_dims=2)
    state = theirs.state_dict() | {"vit.cls_token": torch.zeros(1, 1, 16)}
    with pytest.raises(UserError, match=r"'vit.cls_token' belongs to an option"):
        convert(state)
