"""Altered copies are found, and distinct images are not taken for copies."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ucf_vit.data.leaks import frame, local
from ucf_vit.data.leaks.signature import FRAME, PATTERNS, SIZE, Look, Signatures, look
from ucf_vit.synthetic.volume import make_volume

Image = NDArray[np.float32]
ANATOMY = ndimage.gaussian_filter(np.random.default_rng(99).standard_normal((48, 44, 40)), 4)


def volume(seed: int) -> Image:
    """Concrete, or an anatomy that all have in common with details of their own."""
    if seed % 2:
        return make_volume((48, 44, 40), seed)[0][None].astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal(ANATOMY.shape)
    own = ndimage.gaussian_filter(noise, 2)
    found = ANATOMY / ANATOMY.std() + 0.6 * own / own.std() + 0.1 * noise
    return (1000 * found)[None].astype(np.float32)


def picture(seed: int) -> Image:
    """Blobs and noise, `[1, H, W]`."""
    noise = np.random.default_rng(seed).standard_normal((90, 110))
    smooth = ndimage.gaussian_filter(noise, 5)
    return (smooth / smooth.std() + 0.2 * noise)[None].astype(np.float32)


def cropped(image: Image) -> Image:
    return image[(slice(None), *(slice(side - int(np.ceil(0.7 * side)), None) for side in image.shape[1:]))]


def resampled(image: Image, factor: float) -> Image:
    return np.stack([ndimage.zoom(channel, factor, order=1) for channel in image])


def windowed(image: Image) -> Image:
    low, high = np.percentile(image, [10, 95])
    return (255 * np.clip((image - low) / (high - low), 0, 1)).round()


CHANGES: dict[str, Callable[[Image], Image]] = {
    "flipped": lambda image: image[:, ::-1],
    "axes exchanged": lambda image: np.moveaxis(image, 1, -1)[..., ::-1],
    "inverted": lambda image: 7 - 2 * image,
    "gamma": lambda image: ((image - image.min()) / np.ptp(image)) ** np.float32(0.6),
    "window in 8 bits": windowed,
    "smaller": lambda image: resampled(image, 0.8),
    "larger": lambda image: resampled(image, 1.2),
    "cropped": cropped,
    "cropped and flipped": lambda image: cropped(image)[:, :, ::-1],
    "half precision": lambda image: image.astype(np.float16).astype(np.float32),
}


@pytest.fixture(scope="module", params=[volume, picture], ids=["3D", "2D"])
def collection(request: pytest.FixtureRequest) -> tuple[list[Image], Signatures]:
    images = [request.param(seed) for seed in range(12)]
    return images, Signatures(np.stack([look(image).signature for image in images]))


@pytest.mark.parametrize("change", CHANGES)
def test_an_altered_copy_is_found_and_nothing_else(
    collection: tuple[list[Image], Signatures], change: str
) -> None:
    images, known = collection
    for number, image in enumerate(images):
        near = known.near(look(CHANGES[change](image)))
        assert np.flatnonzero(near).tolist() == [number]


def test_a_part_is_known_by_its_patterns_and_a_frame_by_its_signs(
    collection: tuple[list[Image], Signatures],
) -> None:
    images, known = collection
    part, small = look(cropped(images[3])), look(resampled(images[3], 0.8))
    assert known.in_common(part)[3] >= 2 and known.agreement(part)[3] < 0.7
    assert known.agreement(small)[3] > 0.89 and known.in_common(small)[3] < 2
    whole = Signatures(part.signature[None])
    assert whole.near(look(images[3]))[0] and not whole.near(look(images[4]))[0]


def test_a_signature_is_small_and_the_same_every_time() -> None:
    one = look(volume(1))
    assert one.signature.nbytes == 56 and one.signature.shape == (SIZE,)
    assert np.array_equal(one.signature, look(volume(1)).signature)
    assert len(one.signature[FRAME]) * 64 == frame.BITS and one.signature[PATTERNS].view(np.uint32).all()


def test_equal_values_have_one_hash_in_any_type_and_layout() -> None:
    image = np.random.default_rng(0).integers(0, 255, (2, 9, 10, 11)).astype(np.uint8)
    hashes = {
        int(look(one).signature[0])
        for one in (image, image.astype(np.int16), image.astype(np.float64), np.asfortranarray(image))
    }
    assert len(hashes) == 1
    image[1, 8, 9, 10] ^= 1
    assert int(look(image).signature[0]) not in hashes
    zero = np.zeros((1, 3, 4), np.float32)
    zero[0, 0, 0] = 1
    assert look(zero).signature[0] == look(np.where(zero == 0, -zero, zero)).signature[0]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 5, 4, 3), (1, 1, 1), (3, 40, 40), (1, 20, 20, 20)])
def test_a_constant_image_is_equal_to_none(shape: tuple[int, ...]) -> None:
    nothing = look(np.full(shape, 3, np.int16))
    assert not nothing.signature.any()
    assert not Signatures(nothing.signature[None]).near(nothing)[0]


def test_missing_values_are_no_patterns() -> None:
    image = volume(1)
    image[:, :10] = np.nan
    found = look(image)
    assert Signatures(found.signature[None]).near(look(image[:, ::-1]))[0]
    nowhere = look(np.where(np.arange(10) > 5, np.nan, np.nan)[None, None] * np.ones((1, 10, 1)))
    assert not nowhere.signature[1:].any() and not nowhere.patterns.size


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_patterns_do_not_depend_on_orientation_or_rising_functions(
    seed: int, order: list[int], steps: tuple[int, ...]
) -> None:
    image = np.random.default_rng(seed).random((12, 13, 14)).astype(np.float32)
    turned = image.transpose(order)[tuple(slice(None, None, step) for step in steps)]
    before, after = local.hashes(image[None])[0], local.hashes(np.exp2(turned)[None])[0]
    assert len(before) and np.array_equal(np.sort(before), np.sort(after))


def test_few_patterns_are_tied() -> None:
    """Points and steps in a constant image have neighbours that are all the same, as in any such image."""
    image = np.zeros((1, 30, 30, 30), np.float32)
    image[0, 7::8, 7::8, 7::8] = 1
    assert not local.hashes(image)[0].size


def test_images_without_detail_tell_nothing() -> None:
    """A thumbnail of one bright cell has few signs that are not chance."""
    image = np.zeros((1, 64, 64), np.float32)
    image[0, 32, 32] = 1
    found: Look = look(image)
    assert not found.frames.any()
