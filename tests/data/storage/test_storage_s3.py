"""Remote files in a real S3 server: the same as local ones, and nothing is ever written there."""

import multiprocessing
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ucf_vit.core.errors import DataError
from ucf_vit.data.storage import Cache, Files, MissingError, Patience, join
from ucf_vit.data.storage import open_store as stores

ODD = [
    *("a", "a!b", "a b", "100%.nii", "%20", "a#b", "a?b", "é", "e\u0301", "日本", "x+y", "a=b&c", "..c"),
    *("a*[1]", "'q'", "tab\tx", "~t", "a:b", "{x}", "a\\b", "v.nii.gz"),
]
QUICK = Patience(attempts=3, wait=0.01)


@pytest.fixture(params=["obstore", "fsspec"])
def backend(request, monkeypatch):
    """Both ways to objects, whatever is installed."""
    if request.param == "obstore":
        pytest.importorskip("obstore", reason="needs obstore (pip install 'ucf-vit[s3]')")
    else:
        monkeypatch.setattr(stores, "_obstore_in", -1)
    monkeypatch.setattr(stores, "_stores", {})
    return request.param


@pytest.fixture
def files(scratch, backend):
    return Files(Cache(scratch), QUICK)


def fill(s3, bucket, content: dict[str, bytes]) -> None:
    for key, body in content.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_names_are_those_of_the_same_local_directory(s3, bucket, files, tmp_path):
    folders = ("root", "root/a b/c", "roo", "root!")
    content = {f"{folder}/{name}": name.encode() for name in ODD for folder in folders}
    content |= {"root/a!/b": b"", "root/empty/": b"", "root": b"an object called like the folder"}
    fill(s3, bucket, content)
    local = tmp_path / "local"
    for key in content:
        if key == "root" or key == "root/a b":
            continue
        target = local / key
        if key.endswith("/"):
            target.mkdir(parents=True)
        elif not target.is_dir() and not target.parent.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content[key])
    for folder in ("", "root", "roo", "root!", "root/a b", "root/a b/c"):
        url = join(f"s3://{bucket}", *filter(None, [folder]))
        assert files.names(url) == Files().names(str(local / folder))
    assert files.folders(f"s3://{bucket}/root") == ["a b", "a!", "empty"]
    for name in ODD:
        url = join(f"s3://{bucket}", "root/a b/c", name)
        assert files.local(url).read_bytes() == name.encode() == files.head(url, 100)


NAME = st.text(st.sampled_from("ab!-.%#? +é~"), min_size=1, max_size=4).filter(lambda n: n not in (".", ".."))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(st.lists(NAME, min_size=1, max_size=3), min_size=1, max_size=8))
def test_listings_of_any_names_are_plain_listings(s3, bucket, backend, tmp_path_factory, paths):
    local = tmp_path_factory.mktemp("local")
    number = len(s3.list_objects_v2(Bucket=bucket, Delimiter="/").get("CommonPrefixes", []))
    for path in paths:
        target = local.joinpath(*path)
        if not target.is_dir() and not any(above.is_file() for above in target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"x")
            s3.put_object(Bucket=bucket, Key=f"{number}/{'/'.join(path)}", Body=b"x")
    files = Files(patience=QUICK)
    folders = [local, *(path for path in local.rglob("*") if path.is_dir())]
    for folder in folders:
        url = join(f"s3://{bucket}", str(number), *folder.relative_to(local).parts)
        assert files.names(url) == files.names(str(folder))
        assert files.folders(url) == files.folders(str(folder))


@pytest.mark.deep
def test_many_pages_of_names(s3, bucket, monkeypatch):
    names = [f"{number:05}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key=f"d/{name}", Body=b"x"), names))
    assert Files().names(f"s3://{bucket}/d") == names
    monkeypatch.setattr(stores, "_obstore_in", -1)
    monkeypatch.setattr(stores, "_stores", {})
    assert Files().names(f"s3://{bucket}/d") == names


def test_missing_files_and_directories_are_named(s3, bucket, files):
    with pytest.raises(MissingError, match=f"s3://{bucket}/none: no such directory"):
        files.names(f"s3://{bucket}/none")
    with pytest.raises(MissingError, match="s3://nowhere-at-all/x: no such"):
        files.local("s3://nowhere-at-all/x")
    with pytest.raises(MissingError, match=f"s3://{bucket}/none: no such file"):
        files.local(f"s3://{bucket}/none")
    assert not files.exists(f"s3://{bucket}/none")


def test_a_copy_is_made_once_and_anew_when_the_object_changes(s3, bucket, scratch, files):
    fill(s3, bucket, {"d/v.nii.gz": b"one"})
    url = f"s3://{bucket}/d/v.nii.gz"
    path = files.local(url)
    assert path.name.endswith(".nii.gz") and path.read_bytes() == b"one"
    assert files.local(url) == Files(Cache(scratch)).local(url) == path
    fill(s3, bucket, {"d/v.nii.gz": b"two"})
    assert files.local(url) == path  # within a run: the file that was listed
    assert Files(Cache(scratch), QUICK).local(url).read_bytes() == b"two"


def test_an_object_that_changes_after_it_was_listed_is_read_whole(s3, bucket, files):
    fill(s3, bucket, {"d/a": b"short", "d/b": b"short"})
    files.names(f"s3://{bucket}/d")
    fill(s3, bucket, {"d/a": b"a longer one", "d/b": b"a longer one"})
    assert files.local(f"s3://{bucket}/d/a").read_bytes() == b"a longer one"


def test_large_objects_come_in_parts(s3, bucket, files, backend, monkeypatch):
    if backend == "obstore":
        monkeypatch.setattr("ucf_vit.data.storage.by_obstore.PART", 1000)
    body = bytes(range(256)) * 40
    fill(s3, bucket, {"large": body})
    assert files.local(f"s3://{bucket}/large").read_bytes() == body
    assert files.head(f"s3://{bucket}/large", 300) == body[:300]


def test_many_files_are_fetched_at_once_and_errors_returned(s3, bucket, files):
    fill(s3, bucket, {f"d/{i}": str(i).encode() * 50 for i in range(40)})
    urls = [f"s3://{bucket}/d/{i}" for i in range(41)]
    found = files.fetch(urls, concurrency=8)
    assert [path.read_bytes() for path in found[:40]] == [str(i).encode() * 50 for i in range(40)]
    assert isinstance(found[40], DataError) and "d/40: no such file" in str(found[40])


def _read(files: Files, url: str, answers) -> None:
    answers.put(files.local(url).read_bytes())


def test_processes_forked_after_reading_can_read(s3, bucket, files):
    fill(s3, bucket, {"d/a": b"aa", "d/b": b"bb"})
    files.names(f"s3://{bucket}/d")
    assert files.local(f"s3://{bucket}/d/a").read_bytes() == b"aa"
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_read, args=(files, f"s3://{bucket}/d/b", answers))
    process.start()
    process.join(300)
    assert process.exitcode == 0 and answers.get() == b"bb"
    assert files.head(f"s3://{bucket}/d/b", 1) == b"b"


def test_credentials_are_neither_pickled_nor_shown(s3, bucket, files, monkeypatch):
    fill(s3, bucket, {"a": b"a"})
    files.local(f"s3://{bucket}/a")
    assert b"verysecretkey" not in pickle.dumps(files) and "verysecretkey" not in repr(vars(files))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hidden@127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(DataError, match=f"s3://{bucket}/b: .*tried 3 times") as error:
        files.local(f"s3://{bucket}/b")
    assert time.monotonic() - started < 200
    assert "hidden" not in str(error.value) and "verysecret" not in str(error.value)


def test_reading_writes_nothing_into_the_bucket(s3, bucket, files):
    fill(s3, bucket, {"d/a": b"aa", "d/b/c": b"bb"})

    def state():
        found = s3.list_objects_v2(Bucket=bucket)["Contents"]
        return [(one["Key"], one["ETag"], one["LastModified"]) for one in found]

    before = state()
    assert files.names(f"s3://{bucket}/d") == ["a", "b"]
    files.fetch([f"s3://{bucket}/d/a", f"s3://{bucket}/d/none"])
    files.head(f"s3://{bucket}/d/b/c", 1)
    assert state() == before


def test_a_profile_in_the_usual_file_is_enough(s3, bucket, files, tmp_path: Path, monkeypatch):
    fill(s3, bucket, {"a": b"a"})
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = k\naws_secret_access_key = s\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert files.local(f"s3://{bucket}/a").read_bytes() == b"a"


@pytest.mark.parametrize(("status", "message"), [(503, "tried 3 times"), (403, "access refused")])
def test_a_service_that_fails_has_not_lost_its_objects(web, s3, files, monkeypatch, status, message):
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
    web.fail, web.fail_head = [status] * 99, True
    for call in (files.names, files.local, lambda url: files.head(url, 5)):
        with pytest.raises(DataError, match=f"s3://bucket/x: .*{message}") as error:
            call("s3://bucket/x")
        assert not isinstance(error.value, MissingError)


@pytest.mark.parametrize("lie", [False, True])
def test_truncated_objects_are_read_again_then_an_error(web, s3, files, monkeypatch, tmp_path, lie):
    body = bytes(range(256)) * 20
    (tmp_path / "web" / "bucket").mkdir()
    (tmp_path / "web" / "bucket" / "x").write_bytes(body)
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
    web.cut, web.lie, web.cuts = 1000, lie, 1
    assert files.local("s3://bucket/x").read_bytes() == body
    (tmp_path / "web" / "bucket" / "y").write_bytes(body)
    web.cuts = 99
    with pytest.raises(DataError, match=r"s3://bucket/y: .*tried 3 times"):
        files.local("s3://bucket/y")
    with pytest.raises(DataError, match=r"s3://bucket/y: .*tried 3 times"):
        files.head("s3://bucket/y", 2000)
