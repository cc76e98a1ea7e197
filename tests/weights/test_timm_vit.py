import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from ucf_vit.core.errors import UserError
from ucf_vit.models import VIT
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.weights.families.timm_vit import to_timm
from ucf_vit.weights.pretrained import take
from ucf_vit.weights.recognise import convert

SIZES = {"vit_tiny_patch16_224": (192, 3), "vit_base_patch16_224": (768, 12)}


def ours_like(
    theirs: VisionTransformer, side: int, patch: int, dim: int, heads: int, qkv_bias: bool = True, **options
) -> VIT:
    tile = InputOptions(in_channels=3, tile_size=(side, side), patch_size=patch)
    encoder = EncoderOptions(embed_dim=dim, depth=len(theirs.blocks), num_heads=heads, qkv_bias=qkv_bias)
    model = VIT(tile, encoder, num_classes=theirs.num_classes, **options)
    report = take(model, theirs.state_dict())
    assert not report.initial and not report.left
    return model


@pytest.mark.parametrize("name", SIZES)
def test_same_weights_same_logits(name):
    torch.manual_seed(0)
    theirs = timm.create_model(name).eval()
    ours = ours_like(theirs, 224, 16, *SIZES[name]).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)


@pytest.fixture
def pair() -> tuple[VIT, VisionTransformer]:
    theirs = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5)
    return ours_like(theirs, 32, 8, 24, 2), theirs


def test_same_weights_same_gradients(pair):
    ours, theirs = (model.double() for model in pair)
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for model in (ours, theirs):
        torch.nn.functional.cross_entropy(model(image), torch.tensor([1, 4])).backward()
    grads = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    expected = convert(grads | {"cls_token": torch.zeros_like(grads["cls_token"])})[1].weights
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


def test_mean_of_tokens_instead_of_a_class_token():
    theirs = VisionTransformer(
        img_size=32,
        patch_size=8,
        embed_dim=24,
        depth=2,
        num_heads=2,
        num_classes=5,
        class_token=False,
        global_pool="avg",
        fc_norm=False,
    ).eval()
    ours = ours_like(theirs, 32, 8, 24, 2, class_token=False).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)


def test_no_bias_in_queries_keys_and_values():
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
    theirs = VisionTransformer(**size, qkv_bias=False).eval()
    ours = ours_like(theirs, 32, 8, 24, 2, qkv_bias=False).eval()
    assert not any(".q.bias" in name for name in ours.state_dict())
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(image), theirs(image), rtol=0, atol=1e-5)
    assert to_timm(ours.state_dict(), patch_size=(8, 8)).keys() == theirs.state_dict().keys()


def test_weights_go_back_to_timm(pair):
    ours, theirs = (model.eval() for model in pair)
    shuffled = dict(sorted(ours.state_dict().items()))  # as safetensors gives them back
    returned = to_timm(shuffled, patch_size=(8, 8))
    assert returned.keys() == theirs.state_dict().keys()
    other = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5
    ).eval()
    other.load_state_dict(returned)
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(other(image), theirs(image), rtol=0, atol=1e-5)


def test_options_that_do_not_exist_here_are_named():
    theirs = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=1, num_heads=2, reg_tokens=1)
    with pytest.raises(UserError, match=r"register tokens \(reg_token\)"):
        convert(theirs.state_dict())
