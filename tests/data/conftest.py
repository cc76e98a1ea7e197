"""Small NIfTI data sets, written once per test; servers of remote files."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_files import save_nifti
from remote_servers import KEYS, Web, s3_server

from ucf_vit.data.scratch import Scratch


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch")


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    """Six volumes of different shapes, float32, .nii.gz and .nii mixed, uint8 labels with classes 0 to 2.

    Voxel (x, y, z) of volume i is 10^4 i + 400 x + 20 y + z, so that a tile says where it comes from.
    """
    root = tmp_path / "ct"
    for i, shape in enumerate([(12, 9, 8), (8, 8, 8), (16, 8, 11), (9, 13, 8), (10, 10, 10), (8, 9, 17)]):
        x, y, z = np.indices(shape)
        image = (10_000 * i + 400 * x + 20 * y + z).astype(np.float32)
        suffix = ".nii.gz" if i % 2 else ".nii"
        save_nifti(root / "imagesTr" / f"v{i}{suffix}", image)
        save_nifti(
            root / "labelsTr" / f"v{i}{'.nii' if i % 3 else '.nii.gz'}", ((x + y + z) % 3).astype(np.uint8)
        )
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
