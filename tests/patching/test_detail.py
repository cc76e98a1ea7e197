"""Detail maps: where there is something to see, whatever the scale, for every sample by itself."""

import pickle
import sys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import UserError
from ucf_vit.patching.detail import slabs
from ucf_vit.patching.detail.gradient import gradient_magnitude
from ucf_vit.patching.detail.intensity import RobustScale, subtract_median
from ucf_vit.patching.detail.resolve import DETAILS, resolve_detail
from ucf_vit.patching.detail.variance import variance_map

CASES = [(name, dims) for name in DETAILS for dims in (2, 3) if (name, dims) != ("canny", 3)]
each = pytest.mark.parametrize(("name", "dims"), CASES)
DRAWN = {"smoothing": [1, 3, 5], "canny_low": [20, 80], "canny_high": [90, 200]}


def scene(dims: int, batch: int = 1, channels: int = 1, side: int = 24) -> torch.Tensor:
    """Smooth random images [B, C, *S] in 0 to about 1, no two alike."""
    rng = torch.Generator().manual_seed(dims)
    coarse = torch.rand(batch, channels, *[6] * dims, generator=rng)
    mode = {2: "bicubic", 3: "trilinear"}[dims]
    fine = torch.nn.functional.interpolate(coarse, [side] * dims, mode=mode)
    return fine + 0.01 * torch.rand(fine.shape, generator=rng)


def detail_of(name: str, dims: int, image: torch.Tensor, keys=None, separate=False, **options):
    return resolve_detail(name, dims, options)(image, keys, separate)


@each
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_type(name, dims, separate, dtype):
    image = (255 * scene(dims, batch=2, channels=3)).clamp(0, 255).to(dtype)
    maps = detail_of(name, dims, image, separate=separate)
    assert maps.shape == (2, 3 if separate else 1, *[24] * dims)
    assert maps.dtype == (torch.uint8 if name == "canny" else torch.float32)
    assert maps.min() >= 0 and 0 < maps.max() <= 1


@each
@pytest.mark.parametrize("value", [0.0, -3.5, 1e20, torch.nan, torch.inf])
def test_a_constant_image_has_no_detail(name, dims, value):
    constant = torch.full((1, 1, *[16] * dims), value)
    assert detail_of(name, dims, constant).count_nonzero() == 0


@each
def test_constant_colours_have_no_detail(name, dims):
    rgb = torch.tensor([10, 20, 30], dtype=torch.uint8).view(1, 3, *[1] * dims).expand(1, 3, *[16] * dims)
    assert detail_of(name, dims, rgb).count_nonzero() == 0
    assert detail_of(name, dims, rgb, separate=True).count_nonzero() == 0


@each
def test_missing_values_are_the_lowest(name, dims):
    image = scene(dims)
    image[..., :5] = image.min() - 10
    missing = image.clone()
    missing[..., :5] = torch.nan
    infinite = image.clone()
    infinite[..., :5] = -torch.inf
    found = detail_of(name, dims, missing)
    assert found.isfinite().all() and found[..., 8:].count_nonzero()
    assert torch.equal(detail_of(name, dims, infinite), found)


@each
def test_no_sample_depends_on_another(name, dims):
    image, keys = scene(dims, batch=4, channels=2), torch.tensor([5, 6, 7, 8])
    together = detail_of(name, dims, image, keys, **DRAWN)
    for row in range(4):
        alone = detail_of(name, dims, image[row : row + 1], keys[row : row + 1], **DRAWN)
        assert torch.equal(alone[0], together[row])


@pytest.mark.parametrize(("name", "dims"), [("canny", 2), ("gradient", 2), ("gradient", 3)])
def test_drawn_options_are_a_function_of_the_key(name, dims):
    keys = torch.arange(30)
    image = scene(dims).expand(30, -1, *[-1] * dims)
    maps = detail_of(name, dims, image, keys, **DRAWN)
    assert torch.equal(detail_of(name, dims, image, keys, **DRAWN), maps)
    different = len({row.numpy().tobytes() for row in maps})
    assert different == 3 if name == "gradient" else different > 10


def test_options_without_keys_have_their_middle_value():
    image = scene(2)
    middle = {"smoothing": [3], "canny_low": [50], "canny_high": [145]}
    for name in ("canny", "gradient"):
        assert torch.equal(detail_of(name, 2, image, **DRAWN), detail_of(name, 2, image, **middle))


@each
@settings(max_examples=20)
@given(factor=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_scale_and_shift_do_not_matter(name, dims, factor, shift):
    image = scene(dims)
    before, after = detail_of(name, dims, image), detail_of(name, dims, (image + shift) * factor)
    if name == "canny":
        assert (before != after).float().mean() < 0.01
    else:
        assert torch.allclose(before, after, atol=1e-4)


@each
def test_an_outlier_hides_nothing(name, dims):
    image = scene(dims, side=32)
    spoilt = image.clone()
    spoilt[0, 0].view(-1)[:3] = 1e6
    apart = (..., slice(5, None), slice(5, None))
    before, after = (detail_of(name, dims, seen)[apart].sum() for seen in (image, spoilt))
    assert 0.9 * before < after < 1.1 * before


@each
def test_a_small_object_on_an_empty_background_is_seen(name, dims):
    image = torch.zeros(1, 1, *[64] * dims)
    image[(0, 0, *[slice(40, 43)] * dims)] = 1
    found = detail_of(name, dims, image)
    assert found[(..., *[slice(37, 46)] * dims)].count_nonzero() == found.count_nonzero() > 0


@each
def test_one_map_for_all_channels_sees_what_each_sees(name, dims):
    image = torch.zeros(1, 3, *[24] * dims)
    for channel, start in enumerate((4, 10, 16)):
        image[:, channel, ..., start:] = 10.0**channel
    apart, joint = detail_of(name, dims, image, separate=True), detail_of(name, dims, image)
    assert apart.flatten(2).count_nonzero(2).min() > 0
    largest = apart.amax(1, keepdim=True)
    if name == "canny":  # of two neighbours that are equally steep one or the other
        around = torch.nn.functional.max_pool2d(largest.float(), 3, stride=1, padding=1)
        assert joint.sum() == largest.sum() and (joint <= around).all()
    else:
        assert torch.equal(joint, subtract_median(largest[0].clone())[None])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["gradient", "variance"])
def test_uint8_and_float_are_the_same_image(name, dims):
    image = (255 * scene(dims, channels=2)).clamp(0, 255).byte()
    assert torch.equal(detail_of(name, dims, image), detail_of(name, dims, image.double()))


def test_canny_of_a_full_range_is_the_same_in_uint8_and_float():
    image = (600 * scene(2, channels=3) - 150).clamp(0, 255).byte()
    assert torch.equal(detail_of("canny", 2, image), detail_of("canny", 2, image.float()))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_canny_equals_opencv(channels, side):
    image = torch.randint(0, 80, (1, channels, 40, 56), dtype=torch.uint8)
    image[..., 10:30, 15:40] += 90
    found = detail_of("canny", 2, image, smoothing=[side], canny_low=[60], canny_high=[110])[0, 0].numpy()
    blurred = cv2.GaussianBlur(image[0].permute(1, 2, 0).contiguous().numpy(), (side, side), 0)
    from_each_corner = [
        (cv2.Canny(blurred[::down, ::right].copy(), 60, 110) > 0)[::down, ::right]
        for down in (1, -1)
        for right in (1, -1)
    ]
    assert found.any() and any(np.array_equal(found, edges) for edges in from_each_corner)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gradient_is_that_of_central_differences(dims):
    image = scene(dims)
    scale = RobustScale.of(image[0])
    known = scale(image[0])[0].double().numpy()
    expected = np.sqrt(sum(np.square(part) for part in np.gradient(known)))
    found = gradient_magnitude(image[0], scale, 1, False)
    inside = (slice(1, -1),) * dims
    assert np.allclose(found[0].numpy()[inside], expected[inside], atol=1e-6)
    assert torch.equal(detail_of("gradient", dims, image, smoothing=[1])[0], subtract_median(found))


def test_even_noise_is_no_detail():
    """An edge of twice the noise's deviation counts for most of the detail, and a ramp for none."""
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    edge = noise + 4 * (torch.arange(64) >= 32)
    share = detail_of("gradient", 2, edge)[..., 30:34].sum() / detail_of("gradient", 2, edge).sum()
    assert share > 4 * (4 / 64)
    assert subtract_median(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])).tolist() == [
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_a_large_blur_does_not_overflow():
    image = torch.rand(1, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    assert detail_of("gradient", 3, image, smoothing=[77]).isfinite().all()


@pytest.mark.parametrize(
    "direction", [(1, 0), (0, 1), (1, 1), (1, -1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (-1, 1, 0)]
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_all_directions_count_alike(direction, sign, side):
    """A ramp of the same steepness, whichever way it goes up."""
    dims = len(direction)
    axes = torch.meshgrid(*[torch.arange(16.0)] * dims, indexing="ij")
    length = sum(part * part for part in direction) ** 0.5
    ramp = sign * sum(part * axis for part, axis in zip(direction, axes, strict=True)) / length
    scale = RobustScale.of(ramp[None])
    middle = gradient_magnitude(ramp[None], scale, side, False)[(0, *[8] * dims)]
    assert torch.isclose(middle / scale.factor, torch.tensor(1.0), atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_an_edge_is_seen_along_each_axis_in_both_directions(dims):
    for axis in range(dims):
        step = (torch.arange(12) >= 6).float().view(-1, *[1] * (dims - 1 - axis)).expand(*[12] * dims)
        up = detail_of("gradient", dims, step[None, None].contiguous())
        down = detail_of("gradient", dims, -step[None, None])
        assert torch.allclose(up, down) and up.count_nonzero() == 4 * 12 ** (dims - 1)


@pytest.mark.parametrize("side", [3, 5])
def test_smoothing_is_gaussian(side):
    spike = torch.zeros(1, 1, 31, 31)
    spike[..., 15, 15] = 1
    kernel = cv2.getGaussianKernel(side, 0) @ cv2.getGaussianKernel(side, 0).T
    smooth = np.pad(kernel, (31 - side) // 2)
    expected = np.sqrt(sum(np.square(part) for part in np.gradient(smooth)))
    assert np.allclose(detail_of("gradient", 2, spike, smoothing=[side])[0, 0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_variance_is_that_of_the_window(dims):
    image = scene(dims, side=7)
    scale = RobustScale.of(image[0])
    known = np.pad(scale(image[0])[0].double().numpy(), 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(known, [3] * dims)
    expected = windows.var(axis=tuple(range(dims, 2 * dims)))
    found = variance_map(image[0], scale, 1, False)
    assert np.allclose(found[0].numpy(), expected, atol=1e-7)
    assert torch.equal(detail_of("variance", dims, image, smoothing=[1])[0], subtract_median(found))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["gradient", "variance"])
@settings(max_examples=15)
@given(sides=st.lists(st.integers(1, 12), min_size=3, max_size=3), cached=st.integers(1, 500))
def test_result_does_not_depend_on_slabs(name, dims, sides, cached):
    image = torch.rand(1, 2, *sides[:dims])
    whole = detail_of(name, dims, image)
    usual, slabs.SLAB_PIXELS = slabs.SLAB_PIXELS, cached
    try:
        parts = detail_of(name, dims, image)
    finally:
        slabs.SLAB_PIXELS = usual
    assert torch.allclose(parts, whole, atol=1e-6)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("smoothing", [1, 3, 7])
def test_canny_does_not_depend_on_bands(smoothing, separate, monkeypatch):
    image = (256 * torch.rand(1, 3, 75, 40, generator=torch.Generator().manual_seed(0))).byte()
    for pixels in (image, image.float()):
        whole = detail_of("canny", 2, pixels, separate=separate, smoothing=(smoothing,))
        with monkeypatch.context() as patch:
            patch.setattr(slabs, "SLAB_PIXELS", 1)
            assert torch.equal(
                detail_of("canny", 2, pixels, separate=separate, smoothing=(smoothing,)), whole
            )


@each
def test_the_layout_in_memory_does_not_matter(name, dims):
    image = scene(dims, channels=3)
    interleaved = image.movedim(1, -1).contiguous().movedim(-1, 1)
    turned = image.transpose(2, 3).contiguous().transpose(2, 3)
    for other in (interleaved, turned):
        assert torch.allclose(
            detail_of(name, dims, other) * 1.0, detail_of(name, dims, image) * 1.0, atol=1e-6
        )


@pytest.mark.gpu
@each
def test_on_a_gpu(name, dims):
    image, keys = scene(dims, batch=3, channels=2), torch.arange(3)
    found = detail_of(name, dims, image.cuda(), keys.cuda(), **DRAWN)
    assert found.is_cuda
    assert torch.allclose(found.cpu() * 1.0, detail_of(name, dims, image, keys, **DRAWN) * 1.0, atol=1e-5)


def test_auto_is_canny_for_images_and_gradient_for_volumes():
    assert type(resolve_detail("auto", 2, DRAWN)) is DETAILS["canny"]
    assert type(resolve_detail("auto", 3, DRAWN)) is DETAILS["gradient"]


@pytest.mark.parametrize(
    ("name", "dims", "options", "message"),
    [
        ("canny", 3, {}, "canny finds edges in images only; for volumes choose gradient"),
        ("cany", 2, {}, r"no detail named 'cany' \(did you mean 'canny'\?\); known: auto, canny"),
        ("gone.py:mine", 2, {}, r"gone\.py: no such file \(a detail was named"),
        ("gradient", 2, {"smoothing": [3, 4]}, r"detail_smoothing \[3, 4\]: expected odd"),
        ("auto", 2, {"smoothing": [0]}, "1 is no smoothing"),
        ("auto", 2, {"smoothing": []}, "detail_smoothing"),
        ("auto", 2, {"canny_low": [1, 2, 3]}, r"canny_low \[1, 2, 3\]: expected one threshold"),
        ("auto", 2, {"canny_high": [200, 100]}, "canny_high"),
        ("auto", 2, {"canny_low": [-1]}, "canny_low"),
        ("auto", 2, {"canny_low": [50, 150], "canny_high": [100]}, "must not reach above canny_high"),
    ],
)
def test_invalid_options_are_refused(name, dims, options, message):
    with pytest.raises(UserError, match=message):
        resolve_detail(name, dims, options)


def test_canny_refuses_a_volume_when_called():
    with pytest.raises(UserError, match="choose gradient"):
        resolve_detail("auto", 2, {})(scene(3), None, False)


FILE = """
import torch

def bright(image, keys, separate):
    return image if separate else image.amax(1, keepdim=True)

def flat(image, keys, separate):
    return image[:, 0]

def words(image, keys, separate):
    return "edges"

def odd(image, *, keys=None):
    return image

def fails(image, keys, separate):
    image = image.float()
    return image.sobel()

number = 3
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_user_function(mine):
    image = torch.rand(2, 3, 8, 8)
    bright = resolve_detail(f"{mine}:bright", 2, DRAWN)
    assert torch.equal(bright(image, None, True), image)
    assert torch.equal(bright(image.byte(), torch.arange(2), False), image.byte().amax(1, keepdim=True))
    packed = pickle.dumps(bright)
    for name in [name for name in sys.modules if name.startswith("ucf_vit_plugin_")]:
        del sys.modules[name]
    assert torch.equal(pickle.loads(packed)(image, None, True), image)


@pytest.mark.parametrize(
    ("function", "pixel", "message"),
    [
        ("bright", torch.nan, r"bright: 1 values are NaN or infinite"),
        ("bright", -torch.inf, "1 values are NaN or infinite"),
        ("bright", -0.5, r"expected values >= 0, the least is -0\.5"),
        ("flat", 1.0, r"expected a tensor of shape \[2, 1, 8, 8\], got \[2, 8, 8\]"),
        ("words", 1.0, r"expected a tensor of shape \[2, 1, 8, 8\], got str"),
        ("brigt", 1.0, r"no 'brigt' \(did you mean 'bright'\?\)"),
        ("number", 1.0, r"number: expected a function, called as function\(image, keys, separate\)"),
        ("odd", 1.0, r"odd: expected a function"),
        ("fails", 1.0, r"mine\.py:fails: line 18: AttributeError: 'Tensor' object has no attribute 'sobel'"),
    ],
)
def test_a_users_map_is_checked(mine, function, pixel, message):
    image = torch.rand(2, 1, 8, 8)
    image[1, 0, 2, 3] = pixel
    with pytest.raises(UserError, match=message):
        resolve_detail(f"{mine}:{function}", 2, {})(image, None, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef bright(image keys):\n    pass\n", r"line 2: SyntaxError: "),
        ("\n\nimport nmpy\n", "line 3: ModuleNotFoundError: No module named 'nmpy'"),
        ("raise ValueError", r"loaded: line 1: ValueError$"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_the_line(mine, text, message):
    mine.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        resolve_detail(f"{mine}:bright", 2, {})
    assert str(caught.value).startswith(f"{mine}: this detail can't be loaded: ")


def test_the_home_directory_and_data_classes(mine, monkeypatch):
    mine.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Bright:\n    power: int = 1\n"
        "    def __call__(self, image, keys, separate):\n        return image**self.power\n"
        "bright = Bright()\n"
    )
    monkeypatch.setenv("HOME", str(mine.parent))
    image = torch.rand(2, 1, 8, 8)
    assert torch.equal(resolve_detail("~/mine.py:bright", 2, {})(image, None, False), image)


@each
@pytest.mark.parametrize("separate", [False, True])
def test_masks_are_images(name, dims, separate):
    mask = scene(dims, batch=2, channels=2) > 0.5
    found = detail_of(name, dims, mask, separate=separate)
    assert torch.equal(found, detail_of(name, dims, mask.float(), separate=separate))
    assert found.count_nonzero()
