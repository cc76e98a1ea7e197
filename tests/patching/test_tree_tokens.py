from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tree_grow import boxes, forests
from tree_oracle import region

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.cut import cut, cut_labels
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees, grow_trees_and_drop
from ucf_vit.patching.tree.paste import paste, paste_labels, place_on_grid

LINEAR = {2: "bilinear", 3: "trilinear"}


@st.composite
def grown(draw):
    """Leaves of two images (with one or more trees each), an image, and a patch size."""
    forest = draw(forests())
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    channels = draw(st.integers(1, 3))
    trees = draw(st.sampled_from([1, channels]))
    detail = torch.rand(2 * trees, *forest.space, generator=rng) ** 8
    length = draw(st.integers(forest.num_roots, forest.num_cells + 2))
    rule = draw(st.sampled_from(["length", "threshold", "drop"]))
    if rule == "drop":
        leaves = grow_trees_and_drop(detail, forest, length, 0.5)
    else:
        leaves = grow_trees(detail, forest, length, 1.0 if rule == "threshold" else None)
    leaves = type(leaves)(leaves.forest, leaves.start, leaves.level, leaves.valid, trees)
    image = torch.randn(2, channels, *forest.space, generator=rng)
    return leaves, image, [draw(st.sampled_from([1, 2, 3, 4, 8])) for _ in range(forest.dims)]


def one_by_one(image, leaves, patch):
    """Every leaf cropped and resized on its own."""
    dims = leaves.forest.dims
    rows = image.reshape(len(leaves.level), -1, *leaves.forest.space)
    tokens = torch.zeros(*leaves.level.shape, rows.shape[1], *patch, dtype=image.dtype)
    for tree in range(len(rows)):
        for number, leaf in enumerate(boxes(leaves, tree)):
            crop = rows[tree][(slice(None), *region(leaf))][None]
            larger = [max(pair) for pair in zip(leaf[1], patch, strict=True)]
            tokens[tree, number] = area(F.interpolate(crop, size=larger, mode=LINEAR[dims]), patch)[0]
    return tokens.view(len(image), -1, *tokens.shape[2:])


def area(crop, patch):
    """Exact area average, also where the patch does not divide the leaf."""
    fine = crop
    for axis, side in enumerate(patch, start=2):
        fine = fine.repeat_interleave(side, dim=axis)
    return (F.avg_pool2d if crop.ndim == 4 else F.avg_pool3d)(fine, crop.shape[2:])


@given(grown())
@settings(max_examples=100)
def test_tokens_are_every_leaf_resized(case):
    leaves, image, patch = case
    image = image.double()  # float32 rounds by more than 1e-5
    torch.testing.assert_close(cut(image, leaves, patch), one_by_one(image, leaves, patch), atol=1e-6, rtol=0)


@given(grown())
@settings(max_examples=100)
def test_pasted_tokens_are_the_image_where_leaves_fit_a_patch(case):
    leaves, image, patch = case
    back = paste(cut(image, leaves, patch), leaves)
    assert back.shape == image.shape
    rows, tiles = back.view(-1, *image.shape[2:]), image.reshape(len(leaves.level), -1, *image.shape[2:])
    rows = rows.view(tiles.shape)
    covered = torch.zeros(len(leaves.level), *leaves.forest.space, dtype=torch.bool)
    for tree in range(len(tiles)):
        for leaf in boxes(leaves, tree):
            here = (tree, slice(None), *region(leaf))
            covered[tree][region(leaf)] = True
            if all(side <= p for side, p in zip(leaf[1], patch, strict=True)):
                torch.testing.assert_close(rows[here], tiles[here], atol=2e-5, rtol=0)
            elif all(side % p == 0 for side, p in zip(leaf[1], patch, strict=True)):
                mean = tuple(range(1, tiles.ndim - 1))
                torch.testing.assert_close(rows[here].mean(mean), tiles[here].mean(mean), atol=2e-5, rtol=0)
    assert (rows.movedim(1, -1)[~covered] == 0).all()


@given(grown())
@settings(max_examples=60)
def test_labels_by_majority_and_back(case):
    leaves, image, patch = case
    label = (image[:, 0] * 2).round().clamp(-1, 2).long() + 1
    tokens = cut_labels(label, leaves, patch, 4)
    back = paste_labels(tokens, leaves)
    per_tree = tokens.view(len(leaves.level), leaves.length, *tokens.shape[2:])
    for tree in range(len(per_tree)):
        sample, number = divmod(tree, leaves.trees)
        for k, leaf in enumerate(boxes(leaves, tree)):
            crop = label[sample][region(leaf)].numpy()
            if all(side <= p for side, p in zip(leaf[1], patch, strict=True)):
                np.testing.assert_array_equal(back[sample, number][region(leaf)], crop)
            elif all(side % p == 0 for side, p in zip(leaf[1], patch, strict=True)):
                steps = [side // p for side, p in zip(leaf[1], patch, strict=True)]
                for corner in product(*map(range, patch)):
                    block = crop[tuple(slice(c * n, c * n + n) for c, n in zip(corner, steps, strict=True))]
                    assert per_tree[(tree, k, *corner)] == np.bincount(block.ravel()).argmax()


def test_channels_of_a_token_stay_apart():
    """A constant image of (10, 20, 30) gives tokens of 10, 20 and 30."""
    image = torch.tensor([10.0, 20.0, 30.0])[None, :, None, None].expand(1, 3, 32, 32).contiguous()
    tokens = cut(image, grow_trees(torch.rand(1, 32, 32), Forest((32, 32)), 61), 4)
    assert tokens.shape == (1, 61, 3, 4, 4)
    torch.testing.assert_close(tokens, torch.tensor([10.0, 20.0, 30.0])[:, None, None].expand_as(tokens))


@pytest.mark.parametrize(
    ("space", "leaf", "box"),
    [
        ((32, 48), 2, (8, 8)),
        ((16, 16, 32), 2, (8, 8, 8)),
        ((32, 64), (2, 4), (8, 16)),
        ((16, 32, 8), (2, 4, 1), (4, 8, 2)),
    ],
)
def test_features_on_a_grid_are_means_over_boxes(space, leaf, box):
    forest = Forest(space, leaf)
    rng = torch.Generator().manual_seed(1)
    detail = torch.rand(2 * 2, *space, generator=rng)
    detail[..., space[-1] // 2 :] = 0
    leaves = grow_trees(detail, forest, forest.reachable(60))
    leaves = type(leaves)(forest, leaves.start, leaves.level, leaves.valid, trees=2)
    sizes = leaves.sides[..., 0]
    assert sizes.min() < box[0] < sizes.max()
    features = torch.randn(2, 2 * leaves.length, 5, generator=rng, requires_grad=True)
    placed = place_on_grid(features, leaves, box)
    pixels = paste(features.view(2, -1, 5, *[1] * forest.dims), leaves)
    pool = F.avg_pool2d if forest.dims == 2 else F.avg_pool3d
    want = pool(pixels, box).unflatten(1, (2, 5)).mean(dim=1).movedim(1, -1)
    torch.testing.assert_close(placed, want, atol=1e-5, rtol=0)
    weight = torch.randn(want.shape, generator=rng)
    got, expected = (
        torch.autograd.grad((grid * weight).sum(), features, retain_graph=True)[0] for grid in (placed, want)
    )
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_boxes_without_a_leaf_are_empty():
    forest = Forest((16, 16))
    detail = torch.zeros(1, 16, 16)
    detail[:, :8] = 1
    leaves = grow_trees_and_drop(detail, forest, 5, 0.0)
    placed = place_on_grid(torch.ones(1, 5, 3), leaves, 8)
    share = leaves.sides.prod(dim=-1).sum() / 16**2
    assert placed.mean() == pytest.approx(float(share))


def test_autocast_leaves_tokens_as_they_are():
    forest = Forest((32, 32))
    leaves, image = grow_trees(torch.rand(1, 32, 32), forest, 61), torch.rand(1, 1, 32, 32)
    tokens = cut(image, leaves, 4)
    back = paste(tokens, leaves)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cut(image, leaves, 4), tokens)
        assert torch.equal(paste(tokens, leaves), back)


def test_errors_name_the_shapes():
    forest = Forest((16, 16))
    leaves = grow_trees(torch.rand(2, 16, 16), forest, 13)
    with pytest.raises(UserError, match=r"expected \[2, channels, \*\[16, 16\]\]"):
        cut(torch.rand(3, 1, 16, 16), leaves, 4)
    with pytest.raises(UserError, match="cells of 12 pixels"):
        place_on_grid(torch.rand(2, 13, 3), leaves, 12)


def test_resampling_weights_from_evaluation_work_in_training():
    leaves = grow_trees(torch.rand(1, 48, 48), Forest((48, 48), 3), 64)
    with torch.inference_mode():
        paste(torch.rand(1, 64, 1, 7, 7), leaves)
    tokens = torch.rand(1, 64, 1, 7, 7, requires_grad=True)
    paste(tokens, leaves).sum().backward()
    assert tokens.grad is not None


@pytest.mark.parametrize("space", [(48, 80), (16, 32, 16)])
def test_result_does_not_depend_on_bands(space, monkeypatch):
    forest = Forest(space)
    detail = torch.rand(2, *space, generator=torch.Generator().manual_seed(0)) ** 8
    image = torch.rand(2, 3, *space)

    def everything():
        leaves = grow_trees(detail, forest, forest.reachable(100))
        tokens = cut(image, leaves, 2)
        return (
            leaves.start,
            leaves.level,
            paste_labels((tokens[:, :, 0] * 9).long(), leaves),
            tokens,
            paste(tokens, leaves),
        )

    whole = everything()
    for module in ("blocks", "cut", "paste"):
        monkeypatch.setattr(f"ucf_vit.patching.tree.{module}.CACHED_ELEMENTS", 100)
    *exact, tokens, image_back = everything()
    assert all(torch.equal(a, b) for a, b in zip(exact, whole, strict=False))
    torch.testing.assert_close(tokens, whole[3])
    torch.testing.assert_close(image_back, whole[4])


def test_gradients_do_not_depend_on_chunks(monkeypatch):
    leaves = grow_trees(torch.rand(1, 32, 32), Forest((32, 32)), 61)
    tokens = torch.rand(1, 61, 2, 4, 4, requires_grad=True)
    monkeypatch.setattr("ucf_vit.patching.tree.paste.CACHED_ELEMENTS", 100)
    image = paste(tokens, leaves)
    torch.testing.assert_close(image, paste(tokens.detach(), leaves))
    (gradient,) = torch.autograd.grad(image.sum(), tokens)
    assert gradient.isfinite().all() and (gradient != 0).any()
