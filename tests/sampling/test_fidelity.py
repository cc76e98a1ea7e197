"""Distances between sets of tiles: what they must be whatever the data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.sampling.fidelity.features import FEATURES, RandomFeatures
from ucf_vit.sampling.fidelity.frechet import frechet_distance
from ucf_vit.sampling.fidelity.nearest import Nearest
from ucf_vit.sampling.fidelity.reservoir import Reservoir

CPU = torch.device("cpu")
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def tiles(concrete: Path) -> Tensor:
    """256 slices of concrete, `[256, 1, 16, 16]`."""
    dataset = build_dataset("tiny", "basic_ct", concrete, tile_size=[16, 16], labels=False)
    kept = Reservoir(256)
    for batch in Stream([dataset], batch_size=64, seed=0):
        kept.add(batch.image, batch.keys)
    return kept.images


@settings(max_examples=30)
@given(seeds, st.integers(2, 40), st.integers(2, 40), st.integers(1, 12))
def test_the_distance_is_a_distance(seed: int, n: int, m: int, size: int) -> None:
    a, b = normal(seed, n, size), 2 * normal(seed + 1, m, size) + 1
    d = frechet_distance(a, b)
    assert d >= 0
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(b, a) == pytest.approx(d, rel=1e-9, abs=1e-12)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert frechet_distance(a[order], b) == pytest.approx(d, rel=1e-9, abs=1e-12)
    assert frechet_distance(a, a + 3) == pytest.approx(9 * size, rel=1e-6)


def test_the_distance_is_that_of_the_formula() -> None:
    a, b = normal(0, 200, 6).double(), (normal(1, 300, 6) @ normal(2, 6, 6)).double() + 0.3
    first, second = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    spread = np.trace(first + second - 2 * sqrtm(first @ second).real)
    expected = float((a.mean(0) - b.mean(0)).square().sum()) + spread
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_a_covariance_needs_two() -> None:
    with pytest.raises(ValueError, match="two"):
        frechet_distance(normal(0, 1, 3), normal(0, 5, 3))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 16, 24), (2, 32, 32), (1, 8, 8, 9), (2, 16, 16, 16)])
def test_features_of_any_image(shape: tuple[int, ...]) -> None:
    images = normal(0, 6, *shape)
    network = RandomFeatures(images)
    found = network.of(images, CPU)
    assert found.shape[0] == 6 and FEATURES - 4 <= found.shape[1] <= FEATURES
    assert torch.isfinite(found).all()
    assert torch.equal(found, RandomFeatures(images).of(images, CPU))
    scaled = 1000 * images - 200
    torch.testing.assert_close(RandomFeatures(scaled).of(scaled, CPU), found, rtol=1e-3, atol=1e-4)


def test_features_of_a_constant_channel() -> None:
    assert torch.isfinite(RandomFeatures(torch.ones(4, 1, 8, 8)).of(torch.ones(4, 1, 8, 8), CPU)).all()


def test_noise_and_blur_take_tiles_away(tiles: Tensor) -> None:
    network = RandomFeatures(tiles[:128])
    real, other = network.of(tiles[:128], CPU), network.of(tiles[128:], CPU)
    noise = normal(0, *tiles.shape) * tiles.std()
    noisy = [tiles + share * noise for share in (0.1, 0.2, 0.5, 1.0)]
    widths = (0.5, 1.0, 2.0, 4.0)
    blurred = [torch.from_numpy(gaussian_filter(tiles.numpy(), (0, 0, w, w))) for w in widths]
    for changed in (noisy, blurred):
        distances = [frechet_distance(real, network.of(images[:128], CPU)) for images in changed]
        assert distances[0] > 1e-6 and distances == sorted(distances)
        assert frechet_distance(real, network.of(changed[-1][128:], CPU)) > 4 * frechet_distance(real, other)


@settings(max_examples=30)
@given(seeds, st.integers(1, 30), st.integers(1, 12), st.integers(1, 7))
def test_a_fair_share_does_not_depend_on_batches(seed: int, number: int, most: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randint(0, 2**62, (number,), generator=generator)
    images = keys.double()[:, None]
    kept, other = Reservoir(most), Reservoir(most)
    for part, some in zip(images.split(size), keys.split(size), strict=True):
        kept.add(part, some)
    order = torch.randperm(number, generator=generator)
    other.add(images[order], keys[order])
    assert len(kept) == min(number, most) and kept.seen == number
    assert torch.equal(kept.images, other.images)
    assert torch.equal(kept.keys, keys.sort().values[:most])


@settings(max_examples=30)
@given(seeds, st.integers(1, 6), st.integers(1, 20), st.integers(1, 7))
def test_the_nearest_tile(seed: int, queries: int, number: int, size: int) -> None:
    asked, tiles = normal(seed, queries, 2, 3, 3), normal(seed + 1, number, 2, 3, 3)
    nearest = Nearest(asked, CPU)
    for part in torch.arange(number).split(size):
        nearest.add(tiles[part], [str(int(i)) for i in part])
    every = (asked[:, None] - tiles[None]).square().flatten(2).mean(2).sqrt()
    torch.testing.assert_close(nearest.distance, every.min(1).values)
    found = torch.tensor([int(file) for file in nearest.file])
    assert torch.allclose(nearest.tile, tiles[found], atol=1e-5)


def test_a_copy_is_at_distance_zero() -> None:
    tiles = 1000 + normal(0, 50, 1, 16, 16)
    nearest = Nearest(tiles[[7, 31]], CPU)
    nearest.add(tiles, [str(i) for i in range(50)])
    assert nearest.file == ["7", "31"]
    assert nearest.distance.tolist() == [0, 0]


def test_the_encoder_is_the_same_everywhere() -> None:
    """Figures of different runs can be compared only as long as this number stays."""
    ramp = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    network = RandomFeatures(torch.cat([ramp, ramp**2, ramp**3]))
    assert float(network.of(ramp, CPU).sum()) == pytest.approx(324.059, rel=1e-4)
