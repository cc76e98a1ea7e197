"""Equal results of networks of other programs and of the networks here with their weights, in float64."""

import pytest
import timm
import torch
from monai.networks import nets
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from networks_of_others import authors_mae, mae, monai_vit, randomised, tokens_of, vit
from ucf_vit.core.errors import UserError
from ucf_vit.models.transfer_report import Transfer
from ucf_vit.weights.pretrained import take
from ucf_vit.weights.recognise import convert, recognise

SMALL = {"img_size": 64, "num_classes": 7}
TIMM = {
    "vit_tiny_patch16_224": (SMALL, {"embed_dim": 192, "num_heads": 3}),
    "vit_small_patch32_224": (
        {**SMALL, "class_token": False, "global_pool": "avg", "fc_norm": False},
        {"embed_dim": 384, "num_heads": 6, "class_token": False, "patch": 32},
    ),
    "deit_tiny_patch16_224": (SMALL, {"embed_dim": 192, "num_heads": 3}),
    "vit_tiny_patch16_224 without bias": (
        {**SMALL, "qkv_bias": False},
        {"embed_dim": 192, "num_heads": 3, "qkv_bias": False},
    ),
}


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(name):
    theirs_options, options = TIMM[name]
    theirs = randomised(timm.create_model(name.split()[0], **theirs_options))
    options = {"patch": 16, "classes": 7, "depth": len(theirs.blocks)} | options
    ours = vit((64, 64), **options)
    report = take(ours, theirs.state_dict())
    assert not report.initial and not report.left and not report.changed
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-10)


def test_a_distilled_network_without_its_token():
    """The token and its head are named; the rest computes what timm does with the class token only."""
    distilled = randomised(timm.create_model("deit_tiny_distilled_patch16_224", **SMALL))
    ours = vit((64, 64), patch=16, classes=7, depth=12, embed_dim=192, num_heads=3)
    report = take(ours, distilled.state_dict())
    assert {*report.left} == {"dist_token", "head_dist.weight", "head_dist.bias"} and not report.initial
    state = {name: value for name, value in distilled.state_dict().items() if "dist" not in name}
    positions = state["pos_embed"]
    state["pos_embed"] = torch.cat([positions[:, :1], positions[:, 2:]], 1)
    theirs = timm.create_model("deit_tiny_patch16_224", **SMALL).double().eval()
    theirs.load_state_dict(state)
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-10)


def test_a_norm_after_pooling_leaves_norm_and_head():
    theirs = randomised(VisionTransformer(32, 8, embed_dim=48, depth=3, num_heads=4, global_pool="avg"))
    report = take(vit((32, 32)), theirs.state_dict())
    assert {name.partition(".")[0] for name in report.left} == {"fc_norm", "head"}
    assert {name.rpartition(".")[0] for name in report.initial} == {"encoder.norm", "head"}


def test_tokens_without_a_position():
    """Positions of all tokens, or of those of patches only, are told apart by their number."""
    theirs = randomised(VisionTransformer(32, 8, embed_dim=48, depth=3, num_heads=4, no_embed_class=True))
    ours = vit((32, 32), classes=1000)
    assert not take(ours, theirs.state_dict()).initial
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-10)


def test_a_masked_autoencoder_of_its_authors():
    theirs, ours = authors_mae(), mae()
    report = take(ours, theirs.state_dict())
    assert not report.initial and not report.left and not report.changed
    image, noise = torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.rand(2, 16)
    expected = theirs(image, noise).unflatten(-1, (-1, 3)).transpose(-2, -1).flatten(2)
    torch.testing.assert_close(ours(image, noise)[0], expected, rtol=0, atol=1e-10)


def test_a_masked_autoencoder_starts_a_classifier():
    ours = vit((32, 32), depth=2)
    report = take(ours, authors_mae().state_dict())
    assert {name.partition(".")[0] for name in report.left} == {"decoder"}
    assert {name.partition(".")[0] for name in report.initial} == {"head"}


@pytest.mark.parametrize("tile", [(32, 16), (16, 16, 24)], ids=str)
@pytest.mark.parametrize("options", [{}, {"proj_type": "perceptron"}, {"qkv_bias": True}], ids=str)
def test_tokens_of_monai(tile, options):
    theirs, ours = monai_vit(tile, **options), vit(tile, class_token=False, norm_eps=1e-5)
    report = take(ours, theirs.state_dict())
    assert {*report.initial} == {"head.weight", "head.bias"} and left_names(report) == {"norm_cross_attn"}
    image = torch.randn(2, 3, *tile, dtype=torch.float64)
    torch.testing.assert_close(tokens_of(ours, image), theirs(image)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("last", ["", "Tanh"])
def test_a_classifier_of_monai(last):
    theirs = monai_vit((32, 32), classification=True, num_classes=5, post_activation=last)
    ours = vit((32, 32), norm_eps=1e-5)
    report = take(ours, theirs.state_dict())
    assert not report.initial and ("classification_head.1" in report.left) == bool(last)
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    logits = ours(image).tanh() if last else ours(image)
    torch.testing.assert_close(logits, theirs(image)[0], rtol=0, atol=1e-10)


def test_an_autoencoder_of_monai():
    theirs = randomised(
        nets.ViTAutoEnc(3, (16, 16, 16), 4, hidden_size=48, mlp_dim=192, num_layers=3, num_heads=4)
    )
    ours = vit((16, 16, 16), patch=4, class_token=False, norm_eps=1e-5)
    report = take(ours, theirs.state_dict())
    assert left_names(report) == {"norm_cross_attn", "conv3d_transpose", "conv3d_transpose_1"}
    image = torch.randn(1, 3, 16, 16, 16, dtype=torch.float64)
    found = []
    theirs.norm.register_forward_hook(lambda module, inputs, output: found.append(output))
    theirs(image)
    torch.testing.assert_close(tokens_of(ours, image), found[0], rtol=0, atol=1e-10)


def left_names(report: Transfer) -> set[str]:
    parts = (name.split(".") for name in report.left)
    return {part[2] if part[0] == "blocks" else part[0] for part in parts}


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("vit_small_patch14_dinov2", ["layer scale"]),
        ("vit_small_patch14_reg4_dinov2", ["layer scale", "register tokens"]),
        ("vit_small_patch16_dinov3", ["rotary|layer scale", "register tokens"]),
        ("eva02_base_patch14_224", ["SwiGLU"]),
        ("vit_base_patch16_clip_224", ["a norm before the blocks"]),
        ("beit_base_patch16_224", ["layer scale"]),
        ("vit_srelpos_small_patch16_224", ["relative positions"]),
    ],
)
def test_blocks_that_do_not_exist_here_are_named(name, blocks):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    for block in blocks:
        with pytest.raises(UserError, match=block):
            convert(state)


def test_unknown_tensors():
    with pytest.raises(
        UserError, match=r"no weights of a known network \(ucf_vit, UCF-VIT .*2 tensors: bias"
    ):
        recognise(nn.Linear(2, 2).state_dict())
