"""Fixtures shared by all tests."""

import multiprocessing
import os
import signal
import uuid
from collections.abc import Generator, Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from remote_servers import KEYS, Web, s3_server
from ucf_vit.synthetic import write_dataset

settings.register_profile("machines that are shared", deadline=None)
settings.load_profile("machines that are shared")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names that are not in UTF-8 are escaped in reports, which pytest-xdist can send in UTF-8 only."""
    report = yield
    report.sections = [(name, escaped(text)) for name, text in report.sections]
    if report.longrepr is not None and escaped(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = escaped(str(report.longrepr))
    return report


def escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


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
        ["torch", "torch._dynamo", "ucf_vit.parallel.distribute", "ucf_vit.training.run"]
    )
    return context


@pytest.fixture
def foreground() -> Iterator[None]:
    """As in the foreground of a shell: Ctrl-C is heard, wherever the tests themselves run."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server process that speaks S3."""
    for package in ("moto", "s3fs", "boto3", "flask"):
        pytest.importorskip(package, reason=f"needs {package} (pip install 'ucf-vit[dev]')")
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that writes to the S3 server; the environment points everything else to it."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_endpoint, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A new bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """A web server of `tmp_path/web`."""
    pytest.importorskip("aiohttp", reason="needs aiohttp (pip install 'ucf-vit[http]')")
    (tmp_path / "web").mkdir()
    server = Web(tmp_path / "web")
    yield server
    server.close()
