import math
import sys
from dataclasses import FrozenInstanceError, fields
from subprocess import run

import numpy as np
import pytest
import torch

from ucf_vit.config.describe.keys import keys
from ucf_vit.core.errors import UserError
from ucf_vit.models import SAP, UNETR, VIT
from ucf_vit.options import (
    DecoderOptions,
    EncoderOptions,
    InputOptions,
    PretrainedOptions,
    VariableOptions,
    pick,
)

TINY = EncoderOptions(embed_dim=12, depth=1, num_heads=3)


@pytest.mark.parametrize("patch", [4, [4, 4], (4, 4)])
def test_a_patch_has_one_side_per_axis(patch):
    options = InputOptions(in_channels=1, tile_size=[8, 8], patch_size=patch)
    assert options.patch_size == options.patch == (4, 4) and options.tile_size == (8, 8)
    assert options == InputOptions(in_channels=1, tile_size=(8, 8), patch_size=4)
    assert VIT(options, TINY, num_classes=2)(torch.zeros(1, 1, 8, 8)).shape == (1, 2)


def test_sides_that_are_not_one_per_axis_are_refused():
    with pytest.raises(UserError, match=r"patch_size \[4, 4, 4\] has 3 entries for a tile of 2 axes"):
        InputOptions(in_channels=1, tile_size=(8, 8), patch_size=(4, 4, 4))


def test_sap_needs_adaptive_patches():
    options = InputOptions(in_channels=1, tile_size=(8, 8), patch_size=4, fixed_length=4)
    with pytest.raises(UserError, match="set adaptive_patching to true"):
        SAP(options, TINY, num_classes=2)


def test_a_decoder_follows_the_encoder_in_what_it_has_no_option_for():
    encoder = EncoderOptions(drop_rate=0.1, drop_path=0.2, attention="math", norm_eps=1e-3)
    blocks = DecoderOptions(embed_dim=32, depth=2, num_heads=4, mlp_ratio=3).after(encoder)
    assert (blocks.embed_dim, blocks.depth, blocks.num_heads, blocks.mlp_ratio) == (32, 2, 4, 3)
    assert (blocks.drop_rate, blocks.drop_path, blocks.attention, blocks.norm_eps) == (0.1, 0.0, "math", 1e-3)


@pytest.mark.parametrize(("given", "vit", "unetr"), [(None, 1e-6, 1e-5), (1e-3, 1e-3, 1e-3)])
def test_norms_have_the_published_epsilon_unless_one_is_given(given, vit, unetr):
    encoder = EncoderOptions(embed_dim=12, depth=1, num_heads=3, norm_eps=given)
    tile = InputOptions(in_channels=1, tile_size=(8, 8), patch_size=4)
    for network, expected in ((VIT, vit), (UNETR, unetr)):
        built = network(tile, encoder, num_classes=2).encoder
        assert {built.norm.eps, built.blocks[0].norm1.eps, built.blocks[0].norm2.eps} == {expected}


IMAGE = {"in_channels": 1, "tile_size": (8, 8)}


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (EncoderOptions, {"drop_path": 3}, "drop_path 3: expected a number >= 0 and < 1"),
        (EncoderOptions, {"drop_rate": -0.1}, "drop_rate -0.1: expected a number >= 0 and < 1"),
        (EncoderOptions, {"depth": 0}, "depth 0: expected a whole number >= 1"),
        (EncoderOptions, {"depth": "12"}, "depth '12': expected a whole number"),
        (EncoderOptions, {"embed_dim": 7.5}, "embed_dim 7.5: expected a whole number >= 1"),
        (EncoderOptions, {"num_heads": True}, "num_heads True: expected a whole number"),
        (EncoderOptions, {"head_dim": 0}, "head_dim 0: expected a whole number >= 1"),
        (EncoderOptions, {"mlp_ratio": math.nan}, "mlp_ratio nan: expected a number > 0"),
        (EncoderOptions, {"norm_eps": math.inf}, "norm_eps inf: expected a number > 0"),
        (DecoderOptions, {"num_heads": 0}, "num_heads 0: expected a whole number >= 1"),
        (InputOptions, IMAGE | {"in_channels": 0}, "in_channels 0: expected a whole number >= 1"),
        (InputOptions, IMAGE | {"tile_size": 8}, "tile_size 8: expected sides in pixels"),
        (InputOptions, IMAGE | {"tile_size": (8, 0)}, r"tile_size \(8, 0\): expected sides in pixels"),
        (InputOptions, IMAGE | {"tile_size": (8,)}, r"tile_size \[8\]: expected 2 sides for images"),
        (InputOptions, IMAGE | {"patch_size": 0}, r"patch_size \[0\]: expected sides in pixels"),
        (InputOptions, IMAGE | {"patch_size": (4, 2.5)}, "patch_size .*: expected sides in pixels"),
        (
            InputOptions,
            IMAGE | {"stem": "conf"},
            r"stem 'conf': expected one of .* \(did you mean 'conv'\?\)",
        ),
        (InputOptions, IMAGE | {"pos_embed": None}, "pos_embed None: expected one of auto, learned, sincos"),
        (InputOptions, IMAGE | {"fixed_length": -1}, "fixed_length -1: expected a whole number >= 1"),
        (VariableOptions, {"names": ["a"], "group": 0}, "group 0: expected a whole number >= 1"),
        (VariableOptions, {"names": ["a"], "aggregation": "sum"}, "aggregation 'sum': expected one of"),
        (PretrainedOptions, {"pretrained_inflation": "max"}, "expected one of mean, centre"),
    ],
)
def test_values_out_of_range_are_refused(kind, given, said):
    with pytest.raises(UserError, match=said):
        kind(**given)


def test_numbers_of_numpy_are_numbers():
    options = EncoderOptions(depth=np.int64(2), mlp_ratio=np.float32(2), drop_path=0)
    assert (options.depth, options.mlp_ratio) == (2, 2.0)


def test_configs_follow_the_same_rules():
    """Limits and defaults of all keys that are options of networks, by the schema of the config."""
    described = keys()
    for kind, prefix in ((EncoderOptions, "model."), (DecoderOptions, "model.decoder_")):
        for field in fields(kind):
            name = {"model.decoder_mlp_ratio": "model.mlp_ratio_decoder"}.get(prefix + field.name)
            key = described[name or prefix + field.name]
            if "rule" in field.metadata:
                assert str(field.metadata["rule"]).removeprefix("a ") == key.kind


def test_options_do_not_change_and_can_be_compared():
    assert VariableOptions(names=["a", "b"]) == VariableOptions(names=("a", "b"))
    with pytest.raises(FrozenInstanceError):
        TINY.depth = 3


def test_pick_takes_only_known_options():
    assert pick(EncoderOptions, {"depth": 3, "lr": 1.0}) == EncoderOptions(depth=3)


def test_options_do_not_import_torch():
    code = "import sys, ucf_vit.options; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
