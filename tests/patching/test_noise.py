"""Noise is measured where structure is left out, and does not count as detail."""

import math
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_detail import scene

from ucf_vit.patching.adaptive import AdaptivePatcher, Leaves
from ucf_vit.patching.detail.gradient import gradient_magnitude
from ucf_vit.patching.detail.intensity import RobustScale
from ucf_vit.patching.detail.noise import (
    MAX_GRADIENT_NOISE,
    MAX_SIDE,
    choose_blur,
    estimate_noise,
    gradient_gain,
)
from ucf_vit.patching.detail.variance import variance_gain, variance_map

SHEET = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "adaptive_noise.py"))


def white(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def steps(dims: int, side: int) -> torch.Tensor:
    """Boxes of several heights, [1, *S] in 0 to 4."""
    coarse = torch.randint(0, 5, [side // 16] * dims, generator=torch.Generator().manual_seed(1))
    for axis in range(dims):
        coarse = coarse.repeat_interleave(16, axis)
    return coarse[None].float()


def measured(image: torch.Tensor, side: int = 3) -> torch.Tensor:
    """Noise in the units of `image`."""
    scale = RobustScale.of(image)
    return estimate_noise(image, scale, side) / scale.factor


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("picture", ["flat", "steps", "smooth"])
def test_white_noise_is_measured(dims, side, picture):
    size = {2: 128, 3: 48}[dims]
    clean = {"flat": torch.zeros(1), "steps": steps(dims, size), "smooth": 4 * scene(dims, side=size)[0]}[
        picture
    ]
    found = measured(clean + 0.2 * white(3, *[size] * dims), side)
    assert found.shape == (3,)
    assert found.mean() == pytest.approx(0.2, rel=0.15 if picture == "flat" else 0.4)


@pytest.mark.parametrize("dims", [2, 3])
def test_correlated_noise_is_measured_after_the_blur(dims):
    """Known from the gradient of the noise; the finest band would find less than half of it."""
    size = {2: 200, 3: 48}[dims]
    shared = white(1, *[size] * dims)
    for axis in range(1, dims + 1):
        shared = (shared + shared.roll(1, axis)) / 2
    scale = RobustScale.of(shared)
    for side in (3, 5):
        gradient = gradient_magnitude(shared, scale, side, False)
        expected = float(gradient.square().mean().div(dims).sqrt())
        found = float(estimate_noise(shared, scale, side)) * gradient_gain(side, dims)
        assert 0.6 * expected < found < 1.2 * expected


@pytest.mark.parametrize("dims", [2, 3])
def test_pictures_without_noise_have_none(dims):
    size = {2: 96, 3: 32}[dims]
    ramp = torch.linspace(0, 200, size).expand([1] + [size] * dims).contiguous()
    boxes = steps(dims, size)
    assert measured(boxes) == 0 and measured((boxes > 2).float()) == 0
    assert measured(ramp) < 0.05 and measured(ramp.round()) < 0.2
    assert measured(scene(dims, side=size)[0] - 0.005) < 0.01
    for clean in (boxes, ramp.round(), boxes.byte()):
        assert choose_blur(clean, RobustScale.of(clean))[0] == 3


def test_there_is_no_noise_in_what_is_clipped():
    """A noisy object on nothing: only the object counts, unless there is hardly any."""
    noisy = 5 + 0.3 * white(1, 128, 128)
    for side, expected in ((64, 0.3), (16, 0.0)):
        image = torch.zeros(1, 128, 128)
        image[:, :side, :side] = noisy[:, :side, :side]
        assert measured(image) == pytest.approx(expected, rel=0.5)
    holes = noisy.clone()
    holes[:, ::9, ::7] = torch.nan
    assert measured(holes).isfinite()


@pytest.mark.parametrize("shape", [(1, 6, 200), (2, 9, 9), (1, 8, 8, 5)])
def test_too_small_images_have_no_noise(shape):
    assert measured(white(*shape)).tolist() == [0.0] * shape[0]


@settings(max_examples=20)
@given(factor=st.floats(1e-3, 1e3), shift=st.floats(-5, 5), dims=st.sampled_from([2, 3]))
def test_noise_is_in_units_of_the_range_whatever_the_scale(factor, shift, dims):
    image = steps(dims, 32) + 0.3 * white(1, *[32] * dims)
    other = (image + shift) * factor
    found = [estimate_noise(one, RobustScale.of(one), 3) for one in (image, other)]
    assert torch.allclose(*found, rtol=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_noise_is_the_same_from_all_sides(dims):
    image = steps(dims, 48) + 0.2 * white(2, *[48] * dims)
    scale = RobustScale.of(image)
    for axis in range(1, dims + 1):
        for other in (image.flip(axis), image.transpose(1, axis).contiguous()):
            assert torch.equal(
                estimate_noise(other, RobustScale.of(other), 3), estimate_noise(image, scale, 3)
            )


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("side", [1, 3, 5, 9])
def test_gains_are_those_of_white_noise(dims, side):
    image = white(1, *[{2: 300, 3: 60}[dims]] * dims)
    scale = RobustScale(torch.tensor([-10.0]), torch.tensor([10.0]))
    inside = (..., *[slice(5, -5)] * dims)
    steep = 20 * gradient_magnitude(image, scale, side, False)[inside]
    assert float(steep.square().mean() / dims) ** 0.5 == pytest.approx(gradient_gain(side, dims), rel=0.1)
    varied = 400 * variance_map(image, scale, side, False)[inside]
    assert float(varied.mean()) == pytest.approx(variance_gain(side, dims), rel=0.1)


def test_more_noise_needs_a_larger_blur():
    image = steps(2, 128)
    sides = []
    for deviation in (0, 0.1, 0.4, 0.8, 1.6, 20):
        seen = image + deviation * white(1, 128, 128)
        side, left = choose_blur(seen, RobustScale.of(seen))
        assert side == MAX_SIDE or float(left.max()) * gradient_gain(side, 2) <= MAX_GRADIENT_NOISE
        sides.append(side)
    assert sides[0] == sides[1] == 3 and sides == sorted(sides) and sides[-1] == MAX_SIDE
    both = torch.cat([image, seen])
    assert choose_blur(both, RobustScale.of(both))[0] == MAX_SIDE, "the noisiest channel decides"


def test_a_higher_threshold_needs_less_blur():
    """canny_high is to be seven times the noise; what is given is taken as it is."""
    image = (100 + 30 * white(1, 1, 64, 64)).clamp(0, 255).byte()
    image[..., 32:] //= 2
    edges = {}
    for high in (100, 900):
        for smoothing in (None, [3], [9]):
            patcher = AdaptivePatcher(
                tile_size=(64, 64), patch_size=4, fixed_length=64, detail="canny",
                detail_smoothing=smoothing, canny_low=[high / 3], canny_high=[high],
            )  # fmt: skip
            edges[high, smoothing and smoothing[0]] = patcher.detail(image, None, False)
    assert torch.equal(edges[100, None], edges[100, 9]) and not torch.equal(edges[100, 3], edges[100, 9])
    assert torch.equal(edges[900, None], edges[900, 3])


@pytest.fixture(scope="module")
def half_empty() -> torch.Tensor:
    """Tissue on the left, nothing on the right; [1, 512, 512] without noise."""
    image = SHEET["sheet"]((512, 512), seed=2)
    image[:, 256:] = 205
    return torch.from_numpy(cv2.GaussianBlur(image, (0, 0), 1.0))[None]


def halves(leaves: Leaves) -> tuple[torch.Tensor, torch.Tensor]:
    """Which leaves lie in the half that is empty, and in the other."""
    right = leaves.start[0, :, 1] >= 256
    return right, ~right


@pytest.mark.parametrize("detail", ["canny", "gradient", "variance"])
@pytest.mark.parametrize("noise_of", SHEET["NOISES"].values(), ids=SHEET["NOISES"])
def test_leaves_follow_structure_under_noise(half_empty, detail, noise_of):
    """By default, on a sheet as of an electron microscope; if noise counted, the grid would be uniform."""
    seen = torch.from_numpy(SHEET["noisy"](half_empty[0].numpy(), *noise_of))[None].float()
    patcher = AdaptivePatcher(tile_size=(512, 512), patch_size=16, fixed_length=256, detail=detail)
    leaves = patcher.grow(seen[None])
    size = leaves.sides[0, :, 0].float()
    empty, full = (size[there].pow(3).sum() / size[there].pow(2).sum() for there in halves(leaves))
    assert len(size.unique()) >= 3 and empty > 1.5 * full
    even = AdaptivePatcher(tile_size=(512, 512), patch_size=16, fixed_length=256, detail="gradient")
    flat, _ = SHEET["held"](even, torch.zeros_like(seen), half_empty)
    assert SHEET["held"](patcher, seen, half_empty)[0] > flat + 1


@pytest.mark.parametrize("detail", ["canny", "gradient", "variance"])
def test_without_noise_nothing_is_blurred_more(half_empty, detail):
    clean = half_empty.round().byte()[None]
    fixed = {"canny": 3, "gradient": 3, "variance": 1}[detail]
    maps = [
        AdaptivePatcher(
            tile_size=(512, 512), patch_size=16, fixed_length=256, detail=detail, detail_smoothing=smoothing
        ).detail(clean, None, False)
        for smoothing in (None, [fixed])
    ]
    assert torch.equal(*maps)


def test_the_short_form_of_the_benchmark(capsys):
    SHEET["main"](quick=True)
    uniform, header, *lines = capsys.readouterr().out.splitlines()
    assert uniform.startswith("uniform patches of 32: ") and "leaves by side" in header
    assert len(lines) == 12
    assert all(math.isfinite(float(line[15:].split()[1])) for line in lines)
    assert np.ptp(SHEET["sheet"]((64, 64))) > 20
