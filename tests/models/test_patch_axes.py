"""Patches with a side of their own along each axis: no axis is special, and other libraries cut the same."""

import math

import pytest
import torch
from einops import rearrange
from timm.models.vision_transformer import VisionTransformer

from tiny_models import DEFAULTS, build, run
from ucf_vit.models import MODELS
from ucf_vit.nn.embedding.positions import sincos
from ucf_vit.patching.adaptive import Forest, Patches, cut, paste
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.weights.families.timm_vit import to_timm
from ucf_vit.weights.pretrained import take

TILE, PATCH, ORDER = (16, 8, 12), (8, 4, 2), (2, 0, 1)
"""ORDER makes the tile (12, 16, 8) and the patch (2, 8, 4)."""
SLAB = DEFAULTS | {"tile_size": TILE, "patch_size": PATCH, "pos_embed": "learned", "decoder_embed_dim": 12}


def reordered(sides):
    return tuple(sides[axis] for axis in ORDER)


def permute(x, first):
    """Brings the three axes of `x` that begin at `first` into the new order."""
    others = range(first + 3, x.ndim)
    return x.permute(*range(first), *(first + axis for axis in ORDER), *others)


def permuted_weights(model):
    """Weights of the network for permuted images that does the same."""
    grid = [side // p for side, p in zip(TILE, PATCH, strict=True)]
    state = {}
    for name, x in model.state_dict().items():
        owner = model.get_submodule(name.rpartition(".")[0])
        if name == "embed.weight" or x.ndim == 5:
            x = permute(x.unflatten(1, (-1, *PATCH)), 2).flatten(1) if x.ndim == 2 else permute(x, 2)
        elif name.endswith("positions.table"):
            x = permute(x.unflatten(0, grid), 0).flatten(0, 2)
        elif name.endswith("positions.linear.weight"):
            x = x.unflatten(1, (3, -1))[:, list(ORDER)].flatten(1)
        elif name.endswith(".up.linear.weight") or (".paths." in name and name.endswith("linear.weight")):
            kernel = model.get_submodule(name.removesuffix(".linear.weight")).kernel
            x = permute(x.unflatten(0, (*kernel, -1)), 0).flatten(0, 3)
        elif type(owner).__name__ == "Head" and len(x) % math.prod(PATCH) == 0:
            x = permute(x.unflatten(0, (-1, *PATCH)), 1).flatten(0, 3)
        state[name] = x.contiguous()
    return state


def results(options, name):
    """Returns the outputs of a network for an image, and with permuted axes for the permuted image."""
    torch.manual_seed(0)
    model = build(name, options).double().eval()
    turned = build(name, options | {"tile_size": reordered(TILE), "patch_size": reordered(PATCH)}).double()
    turned.load_state_dict(permuted_weights(model))
    return model, turned.eval(), torch.randn(2, 2, *TILE, dtype=torch.float64)


@pytest.mark.parametrize("linear_decoder", [False, True])
@pytest.mark.parametrize("name", ["vit", "mae", "unetr", "diffusion"])
def test_permuted_axes_give_the_permuted_result(name, linear_decoder):
    model, turned, image = results(SLAB | {"linear_decoder": linear_decoder}, name)
    if name == "mae":
        noise = torch.rand(2, *(side // p for side, p in zip(TILE, PATCH, strict=True)))
        ours, _ = model(image, noise.flatten(1))
        theirs, _ = turned(permute(image, 2), permute(noise, 1).flatten(1))
    else:
        ours, theirs = run(model, image), run(turned, permute(image, 2))
    if name in ("mae", "diffusion"):
        ours, theirs = model.image(ours), turned.image(theirs)
    torch.testing.assert_close(theirs, ours if name == "vit" else permute(ours, 2))


@pytest.mark.parametrize("name", ["vit", "unetr", "sap", "diffusion"])
def test_permuted_axes_give_the_permuted_result_on_trees(name):
    options = SLAB | {"adaptive_patching": True, "fixed_length": 31}
    model, turned, image = results(options, name)
    model_patches = trees(image, PATCH)
    turned_patches = trees(permute(image, 2), reordered(PATCH))
    assert len(model_patches.sides[0].unique(dim=0)) > 1
    ours, theirs = run(model, image, model_patches), run(turned, permute(image, 2), turned_patches)
    if name == "sap":
        ours, theirs = paste(ours, model_patches.leaves), paste(theirs, turned_patches.leaves)
    if name == "diffusion":
        ours, theirs = model.image(ours, model_patches), turned.image(theirs, turned_patches)
    torch.testing.assert_close(theirs, ours if name == "vit" else permute(ours, 2), rtol=1e-5, atol=1e-5)


def trees(image, patch):
    """Patches along leaves that have the shape of `patch`, by the size of values."""
    forest = Forest(tuple(image.shape[2:]), [side // 2 for side in patch])
    leaves = grow_trees(image.abs().sum(1), forest, 31)
    assert leaves.valid is None
    return Patches(cut(image, leaves, patch), leaves)


def test_the_targets_of_a_masked_autoencoder_are_patches_with_these_sides():
    model, image = build("mae", SLAB), torch.randn(2, 2, *TILE)
    expected = rearrange(image, "b c (h p) (w q) (d r) -> b (h w d) (c p q r)", p=8, q=4, r=2)
    assert torch.equal(model.patches(image), expected)
    assert torch.equal(model.image(expected), image)


def test_fixed_positions_are_those_of_the_grid():
    model = build("mae", SLAB | {"pos_embed": "sincos"})
    assert torch.equal(model.positions.table, sincos((2, 2, 6), 12).float())


def test_equal_to_timm():
    torch.manual_seed(0)
    theirs = VisionTransformer(
        img_size=(12, 8), patch_size=(6, 2), in_chans=3, num_classes=5, embed_dim=24, depth=2, num_heads=3
    )
    options = DEFAULTS | {"tile_size": (12, 8), "patch_size": (6, 2), "in_channels": 3, "num_classes": 5}
    ours = build("vit", options | {"embed_dim": 24, "mlp_ratio": 4.0})
    take(ours, theirs.state_dict())
    image = torch.randn(2, 3, 12, 8)
    torch.testing.assert_close(ours.eval()(image), theirs.eval()(image))
    back = to_timm(ours.state_dict(), patch_size=(6, 2))
    theirs.load_state_dict(back)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("name", list(MODELS))
def test_patches_of_equal_sides_have_the_weights_that_one_number_gives(name):
    options = DEFAULTS | {"tile_size": (8, 8, 8), "fixed_length": 15, "adaptive_patching": name == "sap"}
    states = []
    for patch in (4, [4, 4, 4]):
        torch.manual_seed(0)
        states.append(build(name, options | {"patch_size": patch}).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
