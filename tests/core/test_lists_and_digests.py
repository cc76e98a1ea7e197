import hashlib

import pytest

from ucf_vit.core.files.digests import digest_of, file_digest
from ucf_vit.core.lists import first_and_rest, first_few
from ucf_vit.core.text import named_failure, one_line


@pytest.mark.parametrize(
    ("entries", "count", "expected"),
    [
        ([], None, ""),
        (["a", "b", "c"], None, "a, b, c"),
        ([1, 2, 3, 4], None, "1, 2, 3, ..."),
        (["a", "b", "c"], 9, "a, b, c, ..."),
        ({"x": 0}, 1, "x"),
    ],
)
def test_first_few(entries, count, expected):
    assert first_few(entries, 3, count) == expected


def test_first_and_rest():
    assert first_and_rest([], 2) == []
    assert first_and_rest(["a", "b"], 2) == ["a", "b"]
    assert first_and_rest(["a", "b", "c", "d"], 2) == ["a", "b", "and 2 more"]


def test_digests_are_those_that_files_hold(tmp_path):
    """Statistics, checkpoints and prepared data hold them: another value would disown all of these."""
    (tmp_path / "file").write_bytes(b"abc")
    assert file_digest(tmp_path / "file") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()
    assert digest_of(["a", b"\0", "M\udcfcller"]) == "cb12699cf421a564"


def test_failures_in_one_line():
    assert one_line(ValueError("no\n such\taxis")) == "no such axis"
    assert named_failure(ValueError("no\naxis")) == "ValueError: no axis"
    assert named_failure(KeyError()) == "KeyError"
    assert named_failure(SyntaxError("x"), "bad") == "SyntaxError: bad"
