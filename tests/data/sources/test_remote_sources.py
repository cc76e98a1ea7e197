"""Sources behind URLs: the same items, shapes and tiles as from the local files."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nifti_files import save_nifti
from test_fields import FORMATS, NAMES, fields_of

from ucf_vit.core.errors import DataError
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.loader.stream import Stream
from ucf_vit.data.sources import BasicCT, Fields, ImageNet
from ucf_vit.data.storage import Cache, Files, Patience, join

QUICK = Patience(attempts=3, wait=0.01)


def upload(s3, bucket: str, root: Path) -> str:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            s3.upload_file(str(path), bucket, f"{root.name}/{path.relative_to(root)}")
    return f"s3://{bucket}/{root.name}"


@pytest.fixture
def files(scratch):
    return Files(Cache(scratch), QUICK)


@pytest.fixture(params=["s3", "web", "memory"])
def publish(request, tmp_path):
    """Returns a function that copies a local directory to a server and returns its URL."""
    if request.param == "s3":
        s3, bucket = (request.getfixturevalue(name) for name in ("s3", "bucket"))
        return lambda root: upload(s3, bucket, root)
    if request.param == "web":
        web = request.getfixturevalue("web")

        def copy(root: Path) -> str:
            shutil.copytree(root, tmp_path / "web" / root.name)
            return f"{web.url}/{root.name}"

        return copy

    def remember(root: Path) -> str:
        import fsspec

        url = f"memory://{tmp_path.name}/{root.name}"
        fsspec.filesystem("memory").put(str(root), url, recursive=True)
        return url

    return remember


def check(local, remote, url: str, root: Path) -> None:
    pairs = list(zip(local.items(), remote.items(), strict=True))
    for here, there in pairs:
        assert there.image == join(url, *Path(here.image).relative_to(root).parts)
        assert (here.key, here.class_index, here.step) == (there.key, there.class_index, there.step)
        assert local.shape(here) == remote.shape(there)
        region = (slice(1, 5),) * local.spatial_dims
        one, other = (source.read(item, region) for source, item in ((local, here), (remote, there)))
        assert np.array_equal(one.image, other.image) and one.image.dtype == other.image.dtype
        assert other.file == there.image
        if one.label is not None:
            assert np.array_equal(one.label, other.label)


def test_volumes(publish, ct, scratch, files):
    url = publish(ct)
    check(BasicCT(ct, scratch=scratch), BasicCT(url, scratch=scratch, files=files), url, ct)
    assert BasicCT(join(url), files=files).items()[0].label is not None


def test_images(publish, coloured, files):
    url = publish(coloured)
    remote = ImageNet(url, files=files)
    assert remote.class_names == ("blue", "green", "red")
    check(ImageNet(coloured), remote, url, coloured)


@pytest.mark.parametrize("form", FORMATS)
def test_fields(publish, tmp_path, scratch, files, form):
    root = tmp_path / "fields"
    root.mkdir()
    for number in range(2):
        FORMATS[form](root / f"{number}{form}", fields_of(steps=2, seed=number))
    url = publish(root)
    check(Fields(root, NAMES, scratch=scratch), Fields(url, NAMES, scratch=scratch, files=files), url, root)
    assert Fields(f"{url}/0{form}", files=files).variables == Fields(root / f"0{form}").variables


def test_headers_need_no_whole_volumes(s3, bucket, tmp_path, scratch, files):
    noise = np.random.default_rng(0).random((40, 40, 40)).astype(np.float32)
    for name in ("a.nii", "b.nii.gz"):
        save_nifti(tmp_path / "big" / "imagesTr" / name, noise)
    source = BasicCT(upload(s3, bucket, tmp_path / "big"), scratch=scratch, files=files)
    assert [source.shape(item) for item in source.items()] == [(1, 40, 40, 40)] * 2
    assert not list(scratch.directory.glob("*.nii*"))


def inodes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in directory.glob("*.nii*") if path.suffix != ".lock"}


def test_a_volume_is_fetched_and_decompressed_once_for_all(s3, bucket, ct, scratch, files):
    source = BasicCT(upload(s3, bucket, ct), scratch=scratch, files=files)
    item = source.items()[1]
    assert item.image.endswith(".nii.gz")
    source.read(item)
    made = inodes(scratch.directory)
    BasicCT(source.root, files=Files(Cache(scratch))).read(item)
    assert inodes(scratch.directory) == made and len(made) == 3  # the packed image, the image, the label


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_local_files(s3, bucket, ct, scratch, workers):
    url = upload(s3, bucket, ct)

    def batches(root, workers):
        data = build_dataset("ct", "basic_ct", root, tile_size=(8, 8, 8), num_classes=3, scratch=scratch)
        stream = Stream([data], batch_size=3, seed=0, num_workers=workers)
        try:
            return [(batch.image, batch.label, batch.keys) for batch in stream]
        finally:
            stream.close()

    for here, there in zip(batches(ct, 0), batches(url, workers), strict=True):
        assert all(map(torch.equal, here, there))


def test_a_cut_object_fails_that_sample_by_its_url(web, ct, tmp_path, scratch, files):
    shutil.copytree(ct, tmp_path / "web" / "ct")
    source = BasicCT(f"{web.url}/ct", scratch=scratch, files=files)
    item = source.items()[0]
    web.cut = 1000
    with pytest.raises(DataError, match=rf"{web.url}/ct/imagesTr/v0\.nii"):
        source.read(item)
    web.cut = None
    assert source.read(item).image.shape == (1, 12, 9, 8)


def test_a_long_beginning_is_read_whole(s3, bucket, ct, scratch, files):
    """A gzip file may begin with remarks longer than the part that is looked at first."""
    body = gzip.compress((ct / "imagesTr" / "v0.nii").read_bytes())
    remarks = b"x" * 20_000 + b"\0"
    long = body[:3] + bytes([body[3] | 16]) + body[4:10] + remarks + body[10:]
    s3.put_object(Bucket=bucket, Key="long/imagesTr/v.nii.gz", Body=long)
    source = BasicCT(f"s3://{bucket}/long", scratch=scratch, files=files)
    assert source.shape(source.items()[0]) == (1, 12, 9, 8)


def test_a_config_with_a_root_that_carries_credentials_is_refused():
    with pytest.raises(Exception, match="credentials") as error:
        build_dataset("x", "basic_ct", "s3://key:secret@bucket/x", tile_size=(8, 8, 8))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("form", [".npz", ".zarr"])
def test_fields_are_read_by_processes_after_this_one_has_read(s3, bucket, tmp_path, scratch, form):
    root = tmp_path / "fields"
    root.mkdir()
    FORMATS[form](root / f"a{form}", fields_of())
    options = {"variables": NAMES, "normalization": {"kind": "minmax"}, "labels": False, "scratch": scratch}
    found = []
    for place, workers in ((root, 0), (upload(s3, bucket, root), 2)):
        data = build_dataset("f", "fields", place, tile_size=(6, 8), **options)
        stream = Stream([data], batch_size=2, seed=0, num_workers=workers)
        found.append([batch.image for batch in stream])
        stream.close()
    assert len(found[0]) == 3 and all(map(torch.equal, *found))
