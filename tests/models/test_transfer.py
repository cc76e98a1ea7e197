import pytest
import torch

from tiny_models import DEFAULTS, SHAPES, VAREMB, build, image_for, run
from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.models.transfer import transfer
from ucf_vit.nn.embedding.positions import interpolate

VOLUME = DEFAULTS | {"tile_size": (8, 8, 8), "patch_size": 4, "pos_embed": "learned"}


def grid(options):
    tile = options["tile_size"]
    return tuple(
        side // p for side, p in zip(tile, per_axis(options["patch_size"], len(tile), ""), strict=True)
    )


def start(target, options, source=VOLUME):
    """A target with other weights, started from an MAE."""
    mae, model = build("mae", source), build(target, options)
    report = transfer(model, mae.state_dict(), source_grid=grid(source), source_patch=mae.input.patch_size)
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
    assert not report.interpolated
    assert run(model, image_for(options)).isfinite().all()


def test_positions_are_interpolated_to_another_tile():
    mae, model, report = start("unetr", VOLUME | {"tile_size": (8, 16, 12)})
    expected = interpolate(mae.positions.table, (2, 2, 2), (2, 4, 3))
    torch.testing.assert_close(model.positions.table, expected)
    assert report.interpolated == {"positions.table": "2 x 2 x 2 patches to 2 x 4 x 3"}


def test_as_many_patches_in_another_arrangement_are_another_grid():
    flat = VOLUME | {"tile_size": (8, 8)}
    mae, model, report = start("vit", flat | {"tile_size": (4, 16)}, flat)
    torch.testing.assert_close(model.positions.table, interpolate(mae.positions.table, (2, 2), (1, 4)))
    assert report.interpolated


@pytest.mark.parametrize(("source", "target"), [("sincos", "learned"), ("learned", "sincos")])
def test_positions_go_over_whether_learned_or_fixed(source, target):
    mae, model, report = start("unetr", VOLUME | {"pos_embed": target}, VOLUME | {"pos_embed": source})
    assert torch.equal(model.positions.table, mae.positions.table)
    assert "positions.table" in report.taken


def test_every_tensor_is_accounted_for_and_the_report_reads_well():
    mae, model, report = start("unetr", VOLUME | {"tile_size": (8, 8, 16)})
    assert {*report.taken, *report.interpolated, *report.left} == mae.state_dict().keys()
    assert {*report.taken, *report.interpolated, *report.initial} == model.state_dict().keys()
    assert report.left["class_token.token"] == "the target has no such tensor"
    text = str(report)
    assert "taken: embed (2 tensors), encoder (" in text
    assert "interpolated: positions.table (2 x 2 x 2 patches to 2 x 2 x 4)" in text
    assert "left (the target has no such tensor): class_token.token" in text
    assert "left (not part of the encoder): decoder (" in text
    assert "keeps its initial values: decoder (" in text


def test_a_class_token_goes_to_a_network_that_has_one():
    mae, model, _ = start("vit", VOLUME)
    assert torch.equal(model.class_token.token, mae.class_token.token)


def test_other_channels_leave_the_patch_embedding_with_a_reason():
    _, _, report = start("unetr", VOLUME | {"in_channels": 3})
    assert report.left["embed.weight"] == "shape [12, 128], the target has [12, 192]"
    assert "encoder.norm.weight" in report.taken


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


def test_positions_of_images_are_not_bent_into_volumes():
    _, _, report = start("unetr", VOLUME, VOLUME | {"tile_size": (8, 16)})
    assert report.left["positions.table"] == "2 x 4 patches, 12 wide; the target has 2 x 2 x 2, 12"


def test_an_encoder_of_another_width_is_refused():
    with pytest.raises(
        UserError, match="no tensor of the pretrained encoder fits this model; check embed_dim"
    ):
        start("unetr", VOLUME | {"embed_dim": 24})


def test_a_grid_that_is_not_the_source_s_is_refused():
    mae, model = build("mae", VOLUME), build("unetr", VOLUME)
    with pytest.raises(UserError, match="8 rows, not one for each of the 2 x 2 x 3 patches"):
        transfer(model, mae.state_dict(), source_grid=(2, 2, 3), source_patch=(4, 4, 4))


@pytest.mark.parametrize("boxes", [True, False])
def test_variables_are_taken_by_name(boxes):
    options = VAREMB[4] | {"pos_embed": "learned", "use_adaptive_pos_emb": boxes}
    mae, model = build("mae", options), build("vit", options | {"default_vars": ("c", "x", "a")})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    source = {"source_grid": (3 * 23,), "source_patch": (4, 4)}
    report = transfer(model, mae.state_dict(), **source, source_variables=("a", "b", "c"))
    position = "positions.channel.table" if boxes else "positions.table"
    for name in ("embed.tokens.weight", "embed.tokens.embedding", position):
        old, mine, other = (
            state[name].unflatten(0, (3, -1)) for state in (before, model.state_dict(), mae.state_dict())
        )
        assert torch.equal(mine[[0, 2]], other[[2, 0]]) and torch.equal(mine[1], old[1])
        assert report.partly[name] == "2 of 3 variables: c, a"
    assert (
        transfer(model, mae.state_dict(), **source, source_variables=("p", "q", "r")).left[
            "embed.tokens.weight"
        ]
        == "no variable in common"
    )
