"""Networks by name, and features of images."""

import subprocess
import sys

import pytest
import torch

import ucf_vit
from ucf_vit.api.sizes import SIZES
from ucf_vit.core.errors import UserError
from ucf_vit.models import MAE, VIT
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions
from ucf_vit.patching.adaptive import AdaptivePatcher
from ucf_vit.registries.networks import BUILT_IN

SMALL = {"embed_dim": 24, "depth": 3, "num_heads": 2}
TREE = {"adaptive_patching": True, "fixed_length": 13, "patch_size": 8, "tile_size": (32, 32), "in_chans": 2}


def test_import_is_cheap_and_names_are_found_later() -> None:
    """Also without torch in memory until a name needs it."""
    code = (
        "import sys, time; began = time.process_time(); import ucf_vit; took = time.process_time() - began;"
        "assert took < 0.3 and 'torch' not in sys.modules and 'numpy' not in sys.modules, took;"
        "assert set(ucf_vit.__all__) <= set(dir(ucf_vit));"
        "assert ucf_vit.list_models('vit_b*') == ['vit_base'];"
        "assert 'torch' not in sys.modules; import ucf_vit.training.run; assert callable(ucf_vit.train)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = ucf_vit.lode  # type: ignore[attr-defined]


def test_every_network_of_the_project_has_the_four_sizes() -> None:
    assert {size.network for size in SIZES.values()} == set(BUILT_IN)
    for network in BUILT_IN:
        assert len(ucf_vit.list_models(f"{network}_*")) == 4
    assert ucf_vit.list_models("nothing*") == []


@pytest.mark.parametrize("name", sorted(SIZES))
def test_each_name_builds_its_network(name: str) -> None:
    """On device meta, so that the large ones take no memory."""
    given = {"num_classes": 3} if SIZES[name].network in ("vit", "unetr", "sap") else {}
    tree = {"fixed_length": 64} if SIZES[name].network == "sap" else {}
    with torch.device("meta"):
        network = ucf_vit.create_model(name, in_chans=1, tile_size=(64, 64), **given, **tree)
    facts = network.pretrained_cfg
    assert facts["input_size"] == (1, 64, 64) and facts["patch_size"] == (16, 16)
    assert facts["num_features"] == SIZES[name].encoder.embed_dim
    assert facts["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_the_published_sizes() -> None:
    """As many weights as timm's vit_base_patch16_224 without the position of its class token."""
    with torch.device("meta"):
        base = ucf_vit.create_model("vit_base", num_classes=1000)
        mae = ucf_vit.create_model("mae_large")
    assert base.pretrained_cfg["parameters"] == 86_567_656 - 768
    assert len(mae.encoder.blocks) == 24 and len(mae.decoder.encoder.blocks) == 8


def test_options_reach_the_network_and_its_encoder() -> None:
    torch.manual_seed(0)
    made = ucf_vit.create_model(
        "mae_tiny", in_chans=1, tile_size=(32, 32), patch_size=8, mask_ratio=0.5, decoder_depth=1, **SMALL
    )
    torch.manual_seed(0)
    seen = InputOptions(in_channels=1, tile_size=(32, 32), patch_size=8)
    other = MAE(
        seen, EncoderOptions(**SMALL), DecoderOptions(embed_dim=128, depth=1, num_heads=4), mask_ratio=0.5
    )
    assert made.mask_ratio == 0.5
    weights = other.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in made.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet_base", {}, r"no model named 'unet_base' \(did you mean 'unetr_base'\?\)"),
        ("vit_tiny", {}, "network vit needs num_classes"),
        ("vit_tiny", {"num_classes": 2, "dropp_path": 0.1}, r"'dropp_path' \(did you mean 'drop_path'\?\)"),
        ("mae_tiny", {"num_classes": 2}, "mae_tiny takes no option 'num_classes'"),
        ("sap_tiny", {"num_classes": 2}, "adaptive_patching needs fixed_length"),
        ("vit_tiny", {"num_classes": 2, "drop_path": 3}, "drop_path 3: expected a number >= 0 and < 1"),
        ("vit_tiny", {"num_classes": 2, "num_heads": 5}, "num_heads 5 does not divide embed_dim 192"),
        ("vit_tiny", {"num_classes": 0}, "num_classes 0: expected a whole number >= 1"),
        ("vit_tiny", {"num_classes": 2, "mlp_ratio": 1e-3}, "mlp_ratio 0.001 of embed_dim 192 leaves no"),
        ("unetr_tiny", {"num_classes": 2, "feature_size": 0}, "feature_size 0: expected a whole number >= 1"),
        ("mae_tiny", {"decoder_depth": 0}, "depth 0: expected a whole number >= 1"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ucf_vit.create_model(name, **options)  # type: ignore[arg-type]


def test_features_are_what_the_head_sees() -> None:
    network = ucf_vit.create_model(
        "vit_tiny", tile_size=(32, 48), num_classes=3, patch_size=8, **SMALL
    ).eval()
    image = torch.randn(2, 3, 32, 48)
    found = ucf_vit.features(network, image, blocks=[-1, 0])
    assert found.tokens.shape == (2, 24, 24) and found.class_token is not None
    torch.testing.assert_close(network.head(found.class_token), network(image))
    last, first = found.maps
    assert last.shape == first.shape == (2, 24, 4, 6)
    torch.testing.assert_close(network.encoder.norm(last.flatten(2).mT), found.tokens)


def test_features_of_an_autoencoder_are_of_all_patches() -> None:
    mae = ucf_vit.create_model("mae_tiny", tile_size=(32, 32), patch_size=8, **SMALL).eval()
    vit = VIT(
        InputOptions(in_channels=3, tile_size=(32, 32), patch_size=8, pos_embed="sincos"),
        EncoderOptions(**SMALL),
        num_classes=2,
    ).eval()
    weights = {name: value for name, value in mae.state_dict().items() if name in vit.state_dict()}
    assert not vit.load_state_dict(weights, strict=False).unexpected_keys
    image = torch.randn(1, 3, 32, 32)
    ours, theirs = ucf_vit.features(mae, image), ucf_vit.features(vit, image)
    torch.testing.assert_close(ours.tokens, theirs.tokens)


def test_features_of_adaptive_patches_lie_where_the_leaves_do() -> None:
    network = ucf_vit.create_model("sap_tiny", num_classes=2, **TREE, **SMALL)
    patcher = AdaptivePatcher(tile_size=(32, 32), patch_size=8, fixed_length=13)
    found = ucf_vit.features(network, patcher(torch.rand(1, 2, 32, 32)), blocks=[1])
    assert found.tokens.shape == (1, 13, 24) and found.class_token is None
    assert found.maps[0].shape == (1, 24, 4, 4)


def test_networks_without_features_of_images() -> None:
    model = ucf_vit.create_model("diffusion_tiny", tile_size=(32, 32), **SMALL)
    with pytest.raises(UserError, match="a DiffusionVIT has no features of images"):
        ucf_vit.features(model, torch.zeros(1, 3, 32, 32))
    network = ucf_vit.create_model("vit_tiny", tile_size=(32, 32), num_classes=3, **SMALL)
    with pytest.raises(UserError, match="block 3: the encoder has blocks 0 to 2"):
        ucf_vit.features(network, torch.zeros(1, 3, 32, 32), blocks=[3])
