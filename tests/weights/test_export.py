"""Weights of networks here, loaded by networks of timm and MONAI."""

from pathlib import Path

import pytest
import torch
from monai.networks import nets
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from typer.testing import CliRunner

import runs
from networks_of_others import mae, randomised, tokens_of, vit
from ucf_vit.cli.main import app
from ucf_vit.core.errors import UserError
from ucf_vit.models import UNETR
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.weights.export import named_as


def test_a_classifier_in_timm():
    ours = randomised(vit((32, 32), qkv_bias=False))
    state, left = named_as("timm", ours.state_dict(), (8, 8))
    theirs = VisionTransformer(32, 8, embed_dim=48, depth=3, num_heads=4, num_classes=5, qkv_bias=False)
    theirs.double().eval().load_state_dict(state)
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(theirs(image), ours(image), rtol=0, atol=1e-10)
    assert not left


@pytest.mark.parametrize(("tile", "token"), [((32, 16), True), ((16, 16, 24), False)])
def test_tokens_in_monai(tile, token):
    ours = randomised(vit(tile, class_token=token, norm_eps=1e-5))
    weights = ours.state_dict()
    if not token:  # a MONAI ViT that classifies has a class token
        with pytest.raises(UserError, match=r"'head\.weight' belongs to an option"):
            named_as("monai", weights, (8,) * len(tile))
        weights = {name: value for name, value in weights.items() if not name.startswith("head.")}
    state, _ = named_as("monai", weights, (8,) * len(tile))
    options = {"classification": True, "num_classes": 5, "post_activation": ""} if token else {}
    theirs = nets.ViT(3, tile, 8, 48, 192, 3, 4, spatial_dims=len(tile), qkv_bias=True, **options)
    theirs.double().eval().load_state_dict(state)
    image = torch.randn(1, 3, *tile, dtype=torch.float64)
    expected = ours(image) if token else tokens_of(ours, image)
    torch.testing.assert_close(theirs(image)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("tile", [(32, 32), (32, 16, 32)], ids=str)
def test_a_unetr_in_monai(tile):
    seen = InputOptions(in_channels=2, tile_size=tile)
    ours = randomised(UNETR(seen, EncoderOptions(embed_dim=48, num_heads=4), num_classes=3, feature_size=4))
    state, left = named_as("monai", ours.state_dict(), (16,) * len(tile))
    theirs = nets.UNETR(2, 3, tile, 4, 48, 192, 4, spatial_dims=len(tile), qkv_bias=True)
    theirs.double().eval().load_state_dict(state)
    image = torch.randn(1, 2, *tile, dtype=torch.float64)
    torch.testing.assert_close(theirs(image), ours(image), rtol=0, atol=1e-9)
    assert not left


def test_the_encoder_of_a_masked_autoencoder():
    ours = randomised(mae())
    state, left = named_as("timm", ours.state_dict(), (8, 8))
    theirs = VisionTransformer(32, 8, embed_dim=48, depth=2, num_heads=4, num_classes=0)
    theirs.double().load_state_dict(state)
    assert {name.partition(".")[0] for name in left} == {"decoder"}


def test_networks_that_others_do_not_have():
    with pytest.raises(UserError, match="no networks for volumes; export to monai"):
        named_as("timm", vit((16, 16, 16)).state_dict(), (8, 8, 8))
    seen = InputOptions(in_channels=1, tile_size=(16, 16), patch_size=8)
    small = UNETR(seen, EncoderOptions(embed_dim=24, depth=2, num_heads=2), num_classes=2, feature_size=2)
    with pytest.raises(UserError, match="12 blocks and patches of 16 pixels, this one 2 blocks"):
        named_as("monai", small.state_dict(), (8, 8))


def test_a_run(coloured: Path, tmp_path: Path) -> None:
    config = runs.write_config(tmp_path / "c.yaml", "classification", coloured, trainer={"max_steps": 1})
    runs.train(config)
    out = tmp_path / "timm.safetensors"
    command = ["weights", "export", str(tmp_path / "out"), "--to", "timm", "-o", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert f"wrote {out}" in result.output and "left" not in result.output
    theirs = VisionTransformer(16, 8, embed_dim=24, depth=2, num_heads=2, num_classes=3)
    theirs.load_state_dict(load_file(out))
