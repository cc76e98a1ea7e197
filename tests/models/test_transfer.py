from dataclasses import replace

import pytest
import torch

from tiny_models import DEFAULTS, SHAPES, VAREMB, build, image_for, run
from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.models.transfer import Source, transfer
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.options import PretrainedOptions
from ucf_vit.patching.uniform import PatchGrid

VOLUME = DEFAULTS | {"tile_size": (8, 8, 8), "patch_size": 4, "pos_embed": "learned"}


def grid(options):
    tile = options["tile_size"]
    return tuple(
        side // p for side, p in zip(tile, per_axis(options["patch_size"], len(tile), ""), strict=True)
    )


def start(target, options, source=VOLUME):
    """A target with other weights, started from an MAE."""
    mae, model = build("mae", source), build(target, options)
    report = transfer(model, mae.state_dict(), Source(grid=grid(source), patch=mae.input.patch_size))
    return mae, model, report


@pytest.mark.parametrize("target", ["vit", "unetr"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_tile_gives_the_same_encoder(target, shape):
    options = DEFAULTS | shape
    mae, model, report = start(target, options, options)
    for name, value in mae.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    assert torch.equal(model.positions.table, mae.positions.table)
    assert torch.equal(model.embed.weight, mae.embed.weight)
    assert not report.changed
    assert run(model, image_for(options)).isfinite().all()


def test_positions_are_interpolated_to_another_tile():
    mae, model, report = start("unetr", VOLUME | {"tile_size": (8, 16, 12)})
    expected = interpolate(mae.positions.table, (2, 2, 2), (2, 4, 3))
    torch.testing.assert_close(model.positions.table, expected)
    assert report.changed == {"positions.table": "2 x 2 x 2 patches to 2 x 4 x 3"}


def test_as_many_patches_in_another_arrangement_are_another_grid():
    flat = VOLUME | {"tile_size": (8, 8)}
    mae, model, report = start("vit", flat | {"tile_size": (4, 16)}, flat)
    torch.testing.assert_close(model.positions.table, interpolate(mae.positions.table, (2, 2), (1, 4)))
    assert report.changed


@pytest.mark.parametrize(("source", "target"), [("sincos", "learned"), ("learned", "sincos")])
def test_positions_go_over_whether_learned_or_fixed(source, target):
    mae, model, report = start("unetr", VOLUME | {"pos_embed": target}, VOLUME | {"pos_embed": source})
    assert torch.equal(model.positions.table, mae.positions.table)
    assert "positions.table" in report.taken


def test_every_tensor_is_accounted_for_and_the_report_reads_well():
    mae, model, report = start("unetr", VOLUME | {"tile_size": (8, 8, 16)})
    assert {*report.taken, *report.changed, *report.left} == mae.state_dict().keys()
    assert {*report.taken, *report.changed, *report.initial} == model.state_dict().keys()
    assert report.left["class_token.token"] == "the target has no such tensor"
    text = str(report)
    assert "taken: embed (2 tensors), encoder (" in text
    assert "changed (2 x 2 x 2 patches to 2 x 2 x 4): positions.table" in text
    assert "left (the target has no such tensor): class_token.token" in text
    assert "left (not part of the encoder): decoder (" in text
    assert "keeps its initial values: decoder (" in text


def test_a_class_token_goes_to_a_network_that_has_one():
    mae, model, _ = start("vit", VOLUME)
    assert torch.equal(model.class_token.token, mae.class_token.token)


def test_other_channels_take_the_mean():
    mae, model, report = start("unetr", VOLUME | {"in_channels": 3})
    assert report.changed["embed.weight"] == "2 channels to 3 (mean)"
    assert "encoder.norm.weight" in report.taken
    grey = torch.randn(1, 1, 64)
    tokens = (
        model.embed(grey.expand(-1, 3, -1).reshape(1, 1, -1)),
        mae.embed(grey.expand(-1, 2, -1).reshape(1, 1, -1)),
    )
    torch.testing.assert_close(*tokens)


def test_a_deeper_target_keeps_its_last_blocks():
    _, _, report = start("unetr", VOLUME | {"depth": 3})
    assert "encoder.blocks.2.attn.q.weight" in report.initial
    assert "encoder.blocks.1.attn.q.weight" in report.taken


@pytest.mark.parametrize("patch", [(8, 4, 2), (4, 4, 8)])
def test_other_patches_leave_their_projection_and_interpolate_positions(patch):
    """Also patches of as many pixels: their weights would be taken for others."""
    mae, model, report = start("unetr", VOLUME | {"patch_size": patch})
    text = " x ".join(map(str, patch))
    assert report.left["embed.weight"] == f"patches of 4 x 4 x 4 pixels, the target's have {text}"
    assert "embed.bias" in report.taken
    new = tuple(8 // side for side in patch)
    torch.testing.assert_close(model.positions.table, interpolate(mae.positions.table, (2, 2, 2), new))


def test_patches_of_images_are_not_those_of_volumes_of_as_many_pixels():
    _, _, report = start("unetr", VOLUME, VOLUME | {"tile_size": (16, 8), "patch_size": (8, 8)})
    assert report.left["embed.weight"] == "patches of 8 x 8 pixels, the target's have 4 x 4 x 4"


def test_positions_of_volumes_are_not_those_of_images():
    _, _, report = start("vit", VOLUME | {"tile_size": (8, 16)}, VOLUME)
    assert report.left["positions.table"] == "2 x 2 x 2 patches, 12 wide; the target has 2 x 4, 12"


@pytest.mark.parametrize("rule", ["mean", "centre"])
def test_images_start_volumes(rule):
    """Of a volume that is the same in all slices the mean gives the tokens of the image, the centre always
    those of the slice there."""
    flat = VOLUME | {"tile_size": (8, 16)}
    mae, model = build("mae", flat), build("unetr", VOLUME | {"tile_size": (8, 8, 8)})
    options = PretrainedOptions(pretrained_inflation=rule)
    report = transfer(model, mae.state_dict(), Source(grid=(2, 4), patch=(4, 4)), options=options)
    assert report.changed["embed.weight"] == f"inflated along the last axis, 4 deep ({rule})"
    assert report.changed["positions.table"] == "2 x 4 patches to 2 x 2; repeated 2 times along the last axis"
    image = torch.randn(1, 2, 8, 8)
    volume = image[..., None].repeat_interleave(8, -1) * (1 if rule == "mean" else torch.randn(8))
    if rule == "centre":
        volume[..., [2, 6]] = image[..., None]
    grid = PatchGrid(2, (8, 8), (4, 4))
    expected = mae.embed(grid.split(image)) + interpolate(mae.positions.table, (2, 4), (2, 2))
    found = model.positions(model.embed(model.grid.split(volume))).unflatten(1, (4, 2))
    for depth in range(2):
        torch.testing.assert_close(found[:, :, depth], expected)


def test_an_encoder_of_another_width_is_refused():
    with pytest.raises(
        UserError, match="no tensor of the pretrained encoder fits this model; check embed_dim"
    ):
        start("unetr", VOLUME | {"embed_dim": 24})


def test_a_grid_that_is_not_the_source_s_is_refused():
    mae, model = build("mae", VOLUME), build("unetr", VOLUME)
    with pytest.raises(UserError, match="8 rows, not one for each of the 2 x 2 x 3 patches"):
        transfer(model, mae.state_dict(), Source(grid=(2, 2, 3), patch=(4, 4, 4)))


@pytest.mark.parametrize("boxes", [True, False])
def test_variables_are_taken_by_name(boxes):
    options = VAREMB[4] | {"pos_embed": "learned", "use_adaptive_pos_emb": boxes}
    mae, model = build("mae", options), build("vit", options | {"default_vars": ("c", "x", "a")})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    source = Source(grid=(3 * 23,), patch=(4, 4), variables=("a", "b", "c"))
    report = transfer(model, mae.state_dict(), source)
    position = "positions.channel.table" if boxes else "positions.table"
    for name in ("embed.tokens.weight", "embed.tokens.embedding", position):
        old, mine, other = (
            state[name].unflatten(0, (3, -1)) for state in (before, model.state_dict(), mae.state_dict())
        )
        assert torch.equal(mine[[0, 2]], other[[2, 0]]) and torch.equal(mine[1], old[1])
        assert report.partly[name] == "2 of 3 variables: c, a"
    others = replace(source, variables=("p", "q", "r"))
    report = transfer(model, mae.state_dict(), others)
    assert report.left["embed.tokens.weight"] == "no variable in common"


def test_channels_are_taken_by_name():
    source, names = VOLUME | {"in_channels": 3}, ("blue", "other", "red")
    mae, model = build("mae", source), build("unetr", source)
    options = PretrainedOptions(pretrained_channels=("red", "green", "blue"))
    where = Source(grid=(2, 2, 2), patch=(4, 4, 4))
    report = transfer(model, mae.state_dict(), where, channels=names, options=options)
    old, new = (each.embed.weight.unflatten(1, (3, -1)) for each in (mae, model))
    assert torch.equal(new[:, 0], old[:, 2]) and torch.equal(new[:, 2], old[:, 0])
    torch.testing.assert_close(new[:, 1], old.mean(1))
    assert report.changed["embed.weight"] == "channels by name: blue, red; 1 others by mean"
    report = transfer(model, mae.state_dict(), where, channels=("x", "y", "z"), options=options)
    assert "embed.weight" in report.taken and torch.equal(model.embed.weight, mae.embed.weight)


def test_channels_repeat():
    mae, model = build("mae", VOLUME), build("unetr", VOLUME | {"in_channels": 3})
    options = PretrainedOptions(pretrained_channel_rule="repeat")
    transfer(model, mae.state_dict(), Source(grid=(2, 2, 2), patch=(4, 4, 4)), options=options)
    old, new = (each.embed.weight.unflatten(1, (-1, 64)) for each in (mae, model))
    torch.testing.assert_close(new, old[:, [0, 1, 0]] * (2 / 3))


def test_channels_become_variables():
    """Every variable begins as the only channel of the network would."""
    source = VOLUME | {"in_channels": 1, "tile_size": (8, 8), "patch_size": 4}
    mae, model = build("mae", source), build("vit", VAREMB[0])
    report = transfer(model, mae.state_dict(), Source(grid=(2, 2), patch=(4, 4)))
    for row, bias in zip(model.embed.tokens.weight, model.embed.tokens.embedding, strict=True):
        assert torch.equal(row.T, mae.embed.weight) and torch.equal(bias, mae.embed.bias)
    assert {"embed.tokens.weight", "embed.tokens.embedding"} <= report.changed.keys()


def test_biases_that_the_source_lacks_are_zero():
    mae, model = build("mae", VOLUME | {"qkv_bias": False}), build("vit", VOLUME)
    with torch.no_grad():
        model.encoder.blocks[0].attn.v.bias.fill_(1)
    report = transfer(model, mae.state_dict(), Source(grid=(2, 2, 2), patch=(4, 4, 4)))
    assert "encoder.blocks.0.attn.v.bias" in report.changed
    assert not model.encoder.blocks[0].attn.v.bias.any()


def test_networks_of_the_same_output_share_their_heads():
    one, other = build("vit", VOLUME), build("vit", VOLUME)
    source = Source(grid=(2, 2, 2), patch=(4, 4, 4), output="class logits")
    report = transfer(other, one.state_dict(), source)
    assert not report.left and not report.initial and torch.equal(one.head.weight, other.head.weight)
    unknown = transfer(build("vit", VOLUME), one.state_dict(), replace(source, output=None))
    assert unknown.left["head.weight"] == "not part of the encoder"
    assert (
        "belongs to patches"
        in transfer(
            build("unetr", VOLUME | {"patch_size": (8, 4, 2)}),
            build("unetr", VOLUME).state_dict(),
            replace(source, output="voxel logits"),
        ).left["decoder.head.weight"]
    )
