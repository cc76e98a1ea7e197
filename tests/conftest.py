"""Fixtures shared by all tests."""

import multiprocessing
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from ucf_vit.data.synthetic import write_dataset

settings.register_profile("machines that are shared", deadline=None)
settings.load_profile("machines that are shared")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Small real volumes and images beside the checkout; not part of the project."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real sample volumes in ../shared/data")
    return SHARED / "data"


@pytest.fixture(scope="session")
def reference() -> Path:
    """Golden values of the established implementation beside the checkout; not part of the project."""
    if not (SHARED / "reference" / "golden").is_dir():
        pytest.skip("needs the golden values in ../shared/reference")
    return SHARED / "reference"


@pytest.fixture(scope="session")
def forkserver() -> BaseContext:
    """Starts real processes in a fifth of a second: torch and the library are imported once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "torch._dynamo", "ucf_vit.parallel.distribute", "ucf_vit.train.run"]
    )
    return context


@pytest.fixture(scope="session")
def concrete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four synthetic CT volumes of 32 voxels a side, with labels of four classes."""
    root = tmp_path_factory.mktemp("concrete")
    for _ in write_dataset(root, number=4, size=(32, 32, 32), seed=0):
        pass
    return root


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small PNG images in each of three class folders; the classes differ in colour."""
    root = tmp_path_factory.mktemp("coloured")
    noise = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir()
        for number in range(8):
            image = noise.integers(0, 100, (20, 24, 3), dtype=np.uint8)
            image[..., channel] += 100
            Image.fromarray(image).save(root / name / f"{number}.png")
    return root
