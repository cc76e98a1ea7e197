"""Paths and URLs as strings, and files that are local."""

import pickle

import pytest

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.files.urls import bare, checked, name_of
from ucf_vit.data.storage import Cache, Files, is_remote, join


def test_what_is_a_url():
    assert all(map(is_remote, ("s3://b/x", "gs://b", "https://h/x", "memory://a")))
    assert not any(map(is_remote, ("/a/b", "a/b", "a:b", "C://x"[2:], "")))


@pytest.mark.parametrize("name", ["a", "a!b", "a b", "100%", "a#b", "a?b", "é", "%20"])
def test_names_of_joined_paths(name, tmp_path):
    for root in (str(tmp_path), "s3://bucket/folder", "s3://bucket/", "http://host:80/folder/"):
        assert name_of(join(root, name)) == name
    assert join("s3://b/", "x", name) == f"s3://b/x/{name}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://KEY:secret@bucket/x", "s3://***"),
        ("s3://KEY:sec/ret@bucket/x", "s3://***"),
        ("https://me:secret@host/x", "https://***"),
        ("https://secret@host/x", "https://***"),
        ("https://host/x?X-Amz-Signature=secret", "https://host/x?***"),
        ("s3://bucket/x?X-Amz-Signature=secret", "s3://bucket/x?***"),
        ("gs://me:secret@bucket/x", "gs://***"),
    ],
)
def test_urls_with_credentials_are_refused_and_not_shown(url, shown):
    with pytest.raises(UserError, match="credentials") as error:
        checked(url)
    assert bare(url) == shown and shown in str(error.value) and "secret" not in str(error.value)


def test_other_urls(tmp_path):
    assert checked(f"file://{tmp_path}/a%20b") == f"{tmp_path}/a b"
    assert checked("s3://bucket/a@b:c?d#e") == "s3://bucket/a@b:c?d#e"
    with pytest.raises(UserError, match="hdfs"):
        checked("hdfs://host/x")


def test_local_files_are_used_where_they_are(tmp_path):
    names = ["b", "a", "a!b", "a b", "é", "%20", "#", "?"]
    for name in names:
        (tmp_path / name).write_bytes(b"0123456789")
    files = pickle.loads(pickle.dumps(Files()))
    assert files.names(str(tmp_path)) == sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    assert files.local(str(tmp_path / "a")) == tmp_path / "a"
    assert files.head(str(tmp_path / "a"), 4) == b"0123"
    assert files.head(str(tmp_path / "a"), 40) == b"0123456789"
    with pytest.raises(DataError, match="no such directory"):
        files.names(str(tmp_path / "nowhere"))


def test_files_in_memory_behind_a_url(tmp_path, scratch):
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("a", "a!b"):
        memory.pipe_file(f"memory://paths/{name}", b"0123456789")
    files = Files(Cache(scratch))
    assert files.names("memory://paths") == ["a", "a!b"]
    assert files.local("memory://paths/a").read_bytes() == b"0123456789"
    assert files.head("memory://paths/a", 4) == b"0123"
    with pytest.raises(DataError, match="memory://paths/none: no such file"):
        files.local("memory://paths/none")
    with pytest.raises(DataError, match="memory://none: no such directory"):
        files.names("memory://none")
