"""Networks on the patches of trees; what holds for all networks is in test_all_models."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tiny_models import ADAPTIVE, ADAPTIVE_CASES, DEFAULTS, build, case_id, image_for, patches_for, run
from ucf_vit.core.errors import UserError
from ucf_vit.models import MODELS
from ucf_vit.models.transfer import Source, transfer
from ucf_vit.nn.embedding.positions import interpolate
from ucf_vit.patching.tree.cut import cut
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees
from ucf_vit.patching.tree.paste import paste
from ucf_vit.patching.tree.patches import Patches

every_case = pytest.mark.parametrize(("name", "options"), ADAPTIVE_CASES, ids=case_id)
every_model = pytest.mark.parametrize("name", list(MODELS))
PER_TOKEN = ("mae", "sap", "diffusion")
RECONSTRUCT = ("mae", "diffusion")
LEARNT = {"vit": 0.05, "mae": 0.75, "unetr": 0.1, "sap": 0.6, "diffusion": 0.6}
IMAGE, VOLUME = ADAPTIVE[0], ADAPTIVE[4]


def padded(model, image):
    """Patches of which every sample has some padding, and the same with garbage there."""
    thresholds = (image.abs().sum().item() / n for n in (80, 60, 40, 30, 20, 10))
    tried = (patches_for(model, image, threshold) for threshold in thresholds)
    patches = next(patches for patches in tried if not patches.valid.all(1).any())
    missing = ~patches.valid
    values = patches.values.clone()
    values[missing] = 1e3 * torch.randn_like(values[missing])
    leaves = replace(patches.leaves, level=patches.leaves.level.masked_fill(~patches.leaves.valid, 1))
    return patches, Patches(values, leaves)


def real(name, result, patches):
    return result[patches.valid] if name in PER_TOKEN else result


@every_case
def test_padding_does_not_matter(name, options):
    """Neither to the results of real tokens nor to the gradients of weights."""
    torch.manual_seed(0)
    model, image = build(name, options).double(), image_for(options).double()
    results, gradients = [], []
    for patches in padded(model, image):
        model.zero_grad()
        results.append(real(name, run(model, image, patches), patches))
        results[-1].square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1])


@every_model
@pytest.mark.parametrize("options", [ADAPTIVE[0], ADAPTIVE[5]], ids=case_id)
@pytest.mark.parametrize("class_token", [True, False])
def test_a_sequence_without_its_padding_gives_the_same(name, options, class_token):
    torch.manual_seed(0)
    model = build(name, options | {"class_token": class_token}).double()
    image = image_for(options, 1).double()
    patches, _ = padded(model, image)
    length = int(patches.valid.sum())
    short = build(name, options | {"class_token": class_token, "fixed_length": length}).double()
    weights = {
        key: value[:length] if key.endswith("positions.table") else value
        for key, value in model.state_dict().items()
    }
    short.load_state_dict(weights)
    leaves = patches.leaves
    leaves = replace(leaves, start=leaves.start[:, :length], level=leaves.level[:, :length], valid=None)
    alone = run(short, image, Patches(patches.values[:, :length], leaves))
    expected = real(name, run(model, image, patches), patches)
    torch.testing.assert_close(alone[0] if name in PER_TOKEN else alone, expected)


@every_model
@pytest.mark.parametrize("options", [ADAPTIVE[n] for n in (0, 3, 4, 7)], ids=case_id)
def test_learns_one_batch_by_heart(name, options):
    torch.manual_seed(0)
    model, image = build(name, options | {"feature_size": 8, "mask_ratio": 0.1}), image_for(options)
    patches = patches_for(model, image)
    result = run(model, image, patches)
    if name in RECONSTRUCT:
        target = model.patches(patches) / 4
        loss_of = F.mse_loss
    else:
        axis = 2 if name == "sap" else 1
        target = torch.randint(result.shape[axis], result.movedim(axis, -1).shape[:-1])

        def loss_of(result, target):
            return F.cross_entropy(result.movedim(axis, 1), target)

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = loss_of(run(model, image, patches), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < LEARNT[name] * losses[0]


@pytest.mark.parametrize("shape", [IMAGE, VOLUME], ids=case_id)
@pytest.mark.parametrize("name", ["vit", "mae", "unetr", "diffusion"])
@pytest.mark.parametrize("linear_decoder", [True, False])
def test_trees_that_are_the_uniform_grid_give_what_the_uniform_network_gives(name, shape, linear_decoder):
    """Same weights, fixed positions: only the order of tokens differs, which no network cares about."""
    torch.manual_seed(0)
    image, patch = image_for(shape).double(), shape["patch_size"]
    forest = Forest(shape["tile_size"], patch)
    leaves = grow_trees(torch.ones(2, *shape["tile_size"]), forest, forest.num_cells)
    patches = Patches(cut(image, leaves, patch), leaves)
    options = shape | {
        "pos_embed": "sincos",
        "linear_decoder": linear_decoder,
        "fixed_length": forest.num_cells,
    }
    adaptive = build(name, options).double()
    uniform = build(name, options | {"adaptive_patching": False}).double()
    uniform.load_state_dict(adaptive.state_dict(), strict=False)
    for key, value in adaptive.state_dict().items():
        if key.endswith("positions.size.table"):
            value.zero_()
    cells = patches.center[0].sub(0.5).long() // torch.tensor(patch)
    order = torch.from_numpy(np.ravel_multi_index(cells.numpy().T, uniform.input.grid.shape))
    if name == "mae":
        noise = torch.rand(2, forest.num_cells)
        prediction, mask = adaptive(patches, noise[:, order])
        expected, expected_mask = uniform(image, noise)
        assert torch.equal(mask, expected_mask[:, order])
        torch.testing.assert_close(prediction, expected[:, order], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            adaptive.image(prediction, patches), uniform.image(expected), rtol=1e-5, atol=1e-5
        )
    else:
        expected = run(uniform, image)[:, order] if name == "diffusion" else run(uniform, image)
        torch.testing.assert_close(run(adaptive, image, patches), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def mae():
    torch.manual_seed(0)
    return build("mae", IMAGE | {"mask_ratio": 0.75, "fixed_length": 24})


def test_padding_is_neither_masked_nor_seen_and_the_share_of_patches_that_stay_is_kept(mae):
    image = image_for(IMAGE)
    patches, _ = padded(mae, image)
    noise = torch.rand(2, mae.num_tokens)
    _, mask = mae(patches, noise)
    there = patches.valid.sum(1)
    assert torch.equal(mask.sum(1), (there - (there * 0.25).long().clamp_min(1)).float())
    assert not mask[~patches.valid].any()
    for row in range(2):
        stays = noise[row].masked_fill(~patches.valid[row], 2).argsort()[: int(there[row] * 0.25)]
        assert not mask[row, stays].any()


def test_a_single_leaf_stays(mae):
    patches = patches_for(mae, image_for(IMAGE), threshold=1e9)
    prediction, mask = mae(patches, torch.rand(2, mae.num_tokens))
    assert torch.equal(mask.sum(1), (patches.valid.sum(1) - 1).float())
    assert prediction.isfinite().all()


@pytest.mark.parametrize("options", ADAPTIVE[::2], ids=case_id)
def test_targets_are_patches_and_can_be_pasted(options):
    model, image = build("mae", options), image_for(options)
    patches = patches_for(model, image)
    targets = model.patches(patches)
    assert targets.shape == (2, model.num_tokens, model.input.patch_dim)
    torch.testing.assert_close(model.image(targets, patches), paste(patches.values, patches.leaves))
    with pytest.raises(UserError, match="without the patches"):
        model.image(targets)


def test_a_class_mean_is_over_real_tokens():
    model = build("vit", IMAGE | {"class_token": False}).eval()
    patches, garbage = padded(model, image_for(IMAGE))
    seen = []
    model.encoder.register_forward_hook(lambda module, given, result: seen.append(result[0]))
    logits = model(patches)
    mean = torch.stack([tokens[there].mean(0) for tokens, there in zip(seen[0], patches.valid, strict=True)])
    torch.testing.assert_close(logits, model.head(mean))
    torch.testing.assert_close(model(garbage), logits, rtol=1e-4, atol=1e-5)


def test_square_placement_takes_the_sequence_as_the_grid():
    options = IMAGE | {"token_placement": "square", "fixed_length": 24, "linear_decoder": True}
    model = build("unetr", options)
    image = image_for(options)
    patches, garbage = padded(model, image)
    tokens = torch.randn(2, 24, 12)
    there = tokens * patches.valid[..., None]
    assert torch.equal(model._on_grid(tokens, patches), there.unflatten(1, (4, 6)))
    torch.testing.assert_close(run(model, image, garbage), run(model, image, patches), rtol=0, atol=1e-5)
    with pytest.raises(UserError, match="take fixed_length 24, not 23"):
        build("unetr", options | {"fixed_length": 23})
    with pytest.raises(UserError, match="no place for separate_channels"):
        build("unetr", options | {"separate_channels": True})
    with pytest.raises(UserError, match="did you mean 'square'"):
        build("unetr", options | {"token_placement": "squares"})


def test_what_a_leaf_holds_arrives_where_the_leaf_lies():
    """A decoder without convolutions over cells shows it: another token changes the pixels of its cells."""
    model = build("unetr", IMAGE | {"linear_decoder": True}).eval()
    image = image_for(IMAGE, 1)
    patches = patches_for(model, image)
    tokens = torch.randn(1, 23, 12)
    before = model._on_grid(tokens, patches)
    leaf = int(patches.sides[0, :, 0].argmax())
    tokens[:, leaf] += 1
    changed = (model._on_grid(tokens, patches) != before).any(-1)[0].repeat_interleave(4, 0)
    changed = changed.repeat_interleave(4, 1)
    half = patches.sides[0, leaf] / 2
    low, high = (patches.center[0, leaf] - half).long(), (patches.center[0, leaf] + half).long()
    expected = torch.zeros_like(changed)
    expected[low[0] : high[0], low[1] : high[1]] = True
    assert torch.equal(changed, expected)


@every_model
@pytest.mark.parametrize(
    "other",
    [
        {"fixed_length": 20},
        {"separate_channels": True, "fixed_length": 8},
        {"patch_size": 2},
        {"in_channels": 1},
        {"tile_size": (8, 24)},
    ],
    ids=str,
)
def test_other_patches_are_refused(name, other):
    model = build(name, IMAGE)
    theirs = build("sap", IMAGE | other)
    patches = patches_for(theirs, image_for(IMAGE | other))
    with pytest.raises(UserError, match=r"the model was built for tiles \[16, 24\]"):
        run(model, image_for(IMAGE), patches)


@every_model
def test_images_and_patches_are_told_apart(name):
    model, image = build(name, IMAGE), image_for(IMAGE)
    noise = {"mae": [torch.rand(2, 24)], "diffusion": [torch.tensor([3, 5])]}.get(name, [])
    with pytest.raises(UserError, match="built with adaptive_patching and got images"):
        model(image, *noise)
    if name != "sap":
        patches = patches_for(model, image)
        uniform = build(name, IMAGE | {"adaptive_patching": False})
        given = [image, patches] if name == "unetr" else [patches, *noise]
        with pytest.raises(UserError, match="built without adaptive_patching"):
            uniform(*given)


@pytest.mark.parametrize("name", ["vit", "mae", "unetr"])
def test_a_number_of_tokens_is_needed(name):
    with pytest.raises(UserError, match="adaptive_patching needs fixed_length"):
        build(name, IMAGE | {"fixed_length": None})


@every_model
def test_tables_are_not_built_for_no_tokens(name):
    with pytest.raises(UserError, match="fixed_length 0: expected a whole number >= 1"):
        build(name, IMAGE | {"fixed_length": 0})


@pytest.mark.parametrize("target", ["vit", "unetr", "sap"])
@pytest.mark.parametrize("options", ADAPTIVE, ids=case_id)
def test_a_masked_autoencoder_starts_a_network(target, options):
    mae, model = build("mae", options), build(target, options | {"fixed_length": 28})
    length = mae.num_tokens
    report = transfer(model, mae.state_dict(), Source(grid=(length,), patch=mae.input.patch_size))
    state = model.state_dict()
    for key, value in mae.state_dict().items():
        if key.startswith(("embed.", "encoder.", "positions.")) and key != "positions.table":
            assert torch.equal(state[key], value)
            assert key in report.taken
    if "positions.table" in state:
        expected = interpolate(mae.positions.table, (length,), (model.input.num_tokens,))
        torch.testing.assert_close(model.positions.table, expected)
        assert report.changed["positions.table"] == f"{length} patches to {model.input.num_tokens}"
    assert run(model, image_for(options)).isfinite().all()


def test_weights_of_a_uniform_encoder_start_an_adaptive_one():
    uniform = build("mae", DEFAULTS | {"tile_size": (16, 24), "patch_size": 4})
    for boxes, reason in [(True, "no such tensor"), (False, "4 x 6 patches, 12 wide; the target has 23")]:
        model = build("vit", IMAGE | {"use_adaptive_pos_emb": boxes})
        report = transfer(model, uniform.state_dict(), Source(grid=(4, 6), patch=(4, 4)))
        assert reason in report.left["positions.table"]
        assert torch.equal(model.embed.weight, uniform.embed.weight)
