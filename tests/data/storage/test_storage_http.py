"""Remote files on a web server: listed from its pages; cut and failed answers are never taken for files."""

import time
from socket import socket

import pytest

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.storage import Cache, Files, MissingError, Patience, join
from ucf_vit.data.storage.http import links_below

NAMES = ["a", "a!b", "a b", "100%.nii", "%20", "a#b", "a?b", "é", "&amp;", "x+y", "a'b", 'a"b', "a<b>"]
BODY = bytes(range(256)) * 20


@pytest.fixture
def files(scratch):
    return Files(Cache(scratch), Patience(attempts=4, wait=0.01))


def test_directories_are_read_from_pages_of_links(web, files, tmp_path):
    for name in NAMES:
        (tmp_path / "web" / name).write_bytes(name.encode())
    (tmp_path / "web" / "folder").mkdir()
    assert files.names(web.url) == files.names(str(tmp_path / "web"))
    assert files.folders(web.url + "/") == ["folder"]
    for name in NAMES:
        assert files.local(join(web.url, name)).read_bytes() == name.encode()
    with pytest.raises(DataError, match="none: no such directory"):
        files.names(f"{web.url}/none")
    with pytest.raises(DataError, match="none: no such file"):
        files.local(f"{web.url}/none")


def test_links_elsewhere_are_no_files():
    page = """<a href="?C=N;O=D">Name</a> <a href="../">..</a> <a href="/data/x%20y.nii">x</a>
        <a href="/">root</a> <a href="http://other/data/z">z</a> <a href="sub/">s</a>
        <a href="sub/deep">d</a> <a href="b.nii#top">b</a>"""
    found = {entry.name: entry.folder for entry in links_below("http://host/data/", page)}
    assert found == {"x y.nii": False, "sub": True, "b.nii": False}


@pytest.mark.parametrize("fail", [[503, 500], [429, 503]])
def test_a_request_that_fails_twice_is_retried(web, files, tmp_path, fail):
    (tmp_path / "web" / "v.nii").write_bytes(BODY)
    web.fail = fail
    assert files.local(f"{web.url}/v.nii").read_bytes() == BODY


def test_a_server_that_fails_has_not_lost_the_file(web, files, tmp_path):
    """A failed request does not count as a missing file: labels would be ignored silently."""
    (tmp_path / "web" / "v.nii").write_bytes(BODY)
    web.fail = [503] * 99
    web.fail_head = True
    with pytest.raises(DataError, match=r"v\.nii: .*503.*tried 4 times") as error:
        files.local(f"{web.url}/v.nii")
    assert not isinstance(error.value, MissingError)
    with pytest.raises(DataError, match="503") as error:
        files.names(web.url)
    assert not isinstance(error.value, MissingError)


def test_refused_requests_are_not_retried(web, files, tmp_path):
    (tmp_path / "web" / "v.nii").write_bytes(BODY)
    web.fail = [403] * 9
    with pytest.raises(DataError, match=r"v\.nii: access refused"):
        files.local(f"{web.url}/v.nii")
    assert len(web.fail) == 8


@pytest.mark.parametrize("lie", [False, True])
def test_short_answers_are_read_again_then_named(web, files, tmp_path, scratch, lie):
    (tmp_path / "web" / "v.nii").write_bytes(BODY)
    web.cut, web.lie, web.cuts = 1000, lie, 2
    assert files.local(f"{web.url}/v.nii").read_bytes() == BODY
    (tmp_path / "web" / "w.nii").write_bytes(BODY)
    web.cuts = 99
    with pytest.raises(DataError, match=rf"{web.url}/w\.nii: .*tried 4 times"):
        files.local(f"{web.url}/w.nii")
    with pytest.raises(DataError, match=r"w\.nii: .*tried 4 times"):
        files.head(f"{web.url}/w.nii", 2000)
    assert len(list(scratch.directory.glob("*.nii"))) == 1
    assert not list(scratch.directory.glob("*.partial"))


def test_only_the_beginning_is_asked_for(web, files, tmp_path):
    (tmp_path / "web" / "v.nii").write_bytes(BODY)
    assert files.head(f"{web.url}/v.nii", 352) == BODY[:352]
    assert files.head(f"{web.url}/v.nii", 10**6) == BODY


def test_credentials_and_unknown_places_are_refused(files):
    for url in (
        "http://me:secret@127.0.0.1/x",
        "http://127.0.0.1/x?token=secret",
        "s3://key:secret@bucket/x",
    ):
        for call in (files.local, files.names, lambda url: files.head(url, 1)):
            with pytest.raises(UserError) as error:
                call(url)
            assert "secret" not in str(error.value)
    with pytest.raises(UserError, match="hdfs"):
        files.names("hdfs://host/x")


def test_a_missing_package_names_the_extra(monkeypatch, files):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("ucf_vit.data.storage.open_store._stores", {})
    for url, extra in (("s3://b/x", "s3"), ("gs://b/x", "gs"), ("https://h/x", "http")):
        with pytest.raises(UserError, match=rf"pip install 'ucf-vit\[{extra}\]'"):
            files.local(url)


def test_a_server_that_never_answers_is_given_up(tmp_path, scratch):
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v.nii"
        files = Files(Cache(scratch), Patience(attempts=2, wait=0.01, read=0.2))
        started = time.monotonic()
        with pytest.raises(DataError, match=rf"{url}: .*tried 2 times"):
            files.local(url)
        assert time.monotonic() - started < 100
