"""A mirrored image has the mirrored trees, to the last leaf, whatever the measure of detail."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_detail import CASES
from tree_oracle import block_counts

from ucf_vit.patching.adaptive import AdaptivePatcher, Forest
from ucf_vit.patching.detail import canny
from ucf_vit.patching.detail.intensity import RobustScale
from ucf_vit.patching.detail.noise import choose_blur
from ucf_vit.patching.detail.sample import sample_pixels

CPU = torch.device("cpu")


@st.composite
def tiles(draw, dims: int):
    """An image `[1, C, *S]`: floats, few values (many ties), or objects on nothing; and its smallest leaf."""
    leaf = draw(st.sampled_from([1, 2, 3]))
    most = 40 if dims == 2 else 16
    sides = [
        leaf * 2 ** draw(st.integers(1, 2)) * draw(st.integers(1, most // leaf // 4)) for _ in range(dims)
    ]
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    image = torch.rand(1, draw(st.integers(1, 3)), *sides, generator=rng)
    kind = draw(st.sampled_from(["floats", "few", "bytes", "objects"]))
    if kind == "few":
        image = (4 * image).floor()
    elif kind == "bytes":
        image = (256 * image).byte()
    elif kind == "objects":
        image = (image > 0.95) * image
    return image, leaf


def leaves_of(patcher: AdaptivePatcher, image: torch.Tensor, axes: tuple[int, ...] = ()) -> list[set]:
    """Leaves of each tree, `(*first pixel, *sides)`, mirrored along `axes`."""
    leaves = patcher.grow(image)
    start = leaves.start.clone()
    for axis in axes:
        start[..., axis] = patcher.forest.space[axis] - start[..., axis] - leaves.sides[..., axis]
    return [
        {(*first, *side) for first, side in zip(starts, sides, strict=True) if side[0]}
        for starts, sides in zip(start.tolist(), leaves.sides.tolist(), strict=True)
    ]


def turned(dims: int) -> list[tuple[int, ...]]:
    """All ways to mirror an image but none."""
    return [
        tuple(axis for axis, there in enumerate(chosen) if there)
        for chosen in list(product((0, 1), repeat=dims))[1:]
    ]


def blocks_differ(detail: torch.Tensor, forest: Forest, axis: int) -> bool:
    """Whether more blocks hold detail towards one end, from which ties are then counted."""
    counts = block_counts(detail.numpy(), forest)[axis]
    return counts != counts[::-1]


def edges_differ(patcher: AdaptivePatcher, image: torch.Tensor, axis: int) -> bool:
    """The same of pixels at which Canny's edges start."""
    scale = RobustScale.of(image.float())
    if image.dtype == torch.uint8:
        scale = canny._EIGHT_BITS
    smoothing = patcher.detail.smoothing
    side = smoothing[0] if smoothing else choose_blur(image, scale, limit=150 / 7 / 2040)[0]
    gradients = canny._gradients(image, scale, side, patcher.separate_channels).astype(int)
    strong = (abs(gradients).sum(axis=1) > 150).sum(axis=2 - axis)
    return all(list(lines) != list(lines[::-1]) for lines in strong)


@pytest.mark.parametrize(("name", "dims"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_mirrored_image_has_the_mirrored_leaves(name, dims, data):
    image, leaf = data.draw(tiles(dims))
    forest = Forest(tuple(image.shape[2:]), leaf)
    patcher = AdaptivePatcher(
        tile_size=forest.space,
        patch_size=2,
        fixed_length=forest.reachable(data.draw(st.integers(forest.num_roots, forest.num_cells))),
        min_leaf=leaf,
        detail=name,
        detail_smoothing=data.draw(st.sampled_from([None, [1], [3]])),
        separate_channels=data.draw(st.booleans()),
    )
    maps = patcher.detail(image, None, patcher.separate_channels)
    leaves = leaves_of(patcher, image)
    for axes in turned(dims):
        across = image.flip([axis + 2 for axis in axes])
        mirrored = patcher.detail(across, None, patcher.separate_channels).flip([axis + 2 for axis in axes])
        if name == "canny" and not all(edges_differ(patcher, image[0], axis) for axis in axes):
            continue
        assert torch.equal(mirrored, maps)
        if all(blocks_differ(detail, forest, axis) for axis in axes for detail in maps[0]):
            assert leaves_of(patcher, across, axes) == leaves


@pytest.mark.parametrize("dims", [2, 3])
def test_no_leaf_moves_in_a_mirrored_image(dims):
    """Large enough for the samples of pixels to be real ones."""
    side = {2: 192, 3: 48}[dims]
    rng = torch.Generator().manual_seed(dims)
    coarse = torch.rand(1, 1, *[6] * dims, generator=rng)
    image = torch.nn.functional.interpolate(coarse, [side] * dims, mode={2: "bicubic", 3: "trilinear"}[dims])
    image = 100 * image + 100 * (image > 0.5) + 3 * torch.randn(image.shape, generator=rng)
    for name in [name for name, its_dims in CASES if its_dims == dims]:
        patcher = AdaptivePatcher(tile_size=[side] * dims, patch_size=4, fixed_length=510, detail=name)
        for axes in turned(dims):
            across = image.flip([axis + 2 for axis in axes])
            assert leaves_of(patcher, across, axes) == leaves_of(patcher, image)


@pytest.mark.parametrize("shape", [(70, 70), (60, 90), (1, 3000), (20, 20, 20), (10, 30, 20), (30, 10, 30)])
@pytest.mark.parametrize("count", [200, 2048])
def test_a_sample_of_pixels_is_the_same_from_all_sides(shape, count):
    here = torch.zeros(shape, dtype=torch.int64).flatten()
    places = sample_pixels(shape, count, CPU)
    assert count <= len(places) <= 1.3 * count
    here.scatter_add_(0, places, torch.ones_like(places))
    here = here.view(shape)
    for axis in range(len(shape)):
        assert torch.equal(here.flip(axis), here)
        other = shape[::-1]
        there = torch.zeros(other, dtype=torch.int64).flatten()
        where = sample_pixels(other, count, CPU)
        there.scatter_add_(0, where, torch.ones_like(where))
        assert torch.equal(there.view(other), here.permute(*reversed(range(len(shape)))))


def test_a_sample_is_spread_evenly():
    """Sampled pixels are distributed evenly over parts of the image and over rows modulo small numbers."""
    places = sample_pixels((512, 512), 2048, CPU)
    rows, columns = places // 512, places % 512
    blocks = ((rows // 64) * 8 + columns // 64).bincount(minlength=64)
    assert blocks.min() >= 0.5 * 2048 / 64 and blocks.max() <= 1.5 * 2048 / 64
    for period in (2, 3, 4, 8):
        shares = (rows % period).bincount(minlength=period) * period / len(places)
        assert shares.min() > 0.7 and shares.max() < 1.3
    assert sample_pixels((5, 7), 2048, CPU).tolist() == list(range(35))


def test_ties_are_counted_from_the_end_with_more_detail():
    """Edges in a corner: of the empty blocks those near it are split, from whichever side one looks."""
    detail = torch.zeros(1, 1, 16, 16)
    detail[..., 13:, 12:] = 1
    patcher = AdaptivePatcher(tile_size=(16, 16), patch_size=2, fixed_length=16, detail="gradient")
    for axes in [(), *turned(2)]:
        across = detail.flip([axis + 2 for axis in axes])
        assert leaves_of(patcher, across, axes) == leaves_of(patcher, detail)
