"""Errors in a file become one DataError that names it; only regular files are opened."""

import os
import socket
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.data.batch import Sample
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.limits import check_plain, memory
from ucf_vit.data.read_item import read_sample, shape_of
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import Item, Source

ITEM = Item("a", "/data/images/a.raw", "/data/labels/a.raw")


class OneItem(Source):
    """Gives or raises what it is told."""

    spatial_dims = 2
    variables = ("v",)

    def __init__(self, root="", gives=None):
        self.gives = gives

    def items(self):
        return [ITEM]

    def shape(self, item):
        return self.give()

    def read(self, item, region=None, channels=None):
        return self.give()

    def give(self):
        if isinstance(self.gives, BaseException):
            raise self.gives
        return self.gives


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (OSError(5, "Input/output error"), r"\[Errno 5\] Input/output error"),
        (PermissionError(13, "Permission denied"), r"\[Errno 13\] Permission denied"),
        (MemoryError("Unable to allocate 3 TiB"), "not enough memory: Unable to allocate 3 TiB"),
        (OverflowError("too large"), r"OverflowError: too large; raised in test_reading\.py, line \d+"),
        (ZeroDivisionError(), r"ZeroDivisionError; raised in test_reading\.py, line \d+"),
        (AssertionError(), r"AssertionError; raised in"),
        (RecursionError("deep"), r"RecursionError: deep; raised in"),
        (KeyError("x"), r"KeyError: 'x'; raised in"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_anything_raised_names_the_file_on_one_line(raised, cause):
    source = OneItem(gives=raised)
    for use in (shape_of, read_sample):
        with pytest.raises(DataError, match=rf"^/data/images/a\.raw: {cause}") as caught:
            use(source, ITEM)
        assert "\n" not in str(caught.value)


def test_errors_that_name_a_file_are_unchanged():
    for text in (
        "/data/labels/a.raw: too short (item a)",
        "/data/images/b.raw: of the same series (item a)",
    ):
        with pytest.raises(DataError) as caught:
            shape_of(OneItem(gives=DataError(text)), ITEM)
        assert str(caught.value) == text
    with pytest.raises(UserError, match=r"^install it$") as caught, reading("a.raw"):
        raise UserError("install it")
    assert not isinstance(caught.value, DataError)
    with pytest.raises(KeyboardInterrupt), reading("a.raw"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "shape", [(), (1, 5), (1, 5, 0), (1, 5, -2), (0, 5, 5), (1, 5, 5, 5), ("x", 1, 1), None]
)
def test_a_shape_that_no_image_has_is_refused(shape):
    with pytest.raises(DataError, match=r"a\.raw"):
        shape_of(OneItem(gives=shape), ITEM)


def test_a_limit_holds_for_every_source():
    source = OneItem(gives=(1, 1000, 1000))
    assert shape_of(source, ITEM, 4_000_000) == (1, 1000, 1000)
    told = r"a\.raw: its header says 4,000,000 bytes, more than 3,999,999; .*data\.max_item_bytes to 4000000"
    with pytest.raises(DataError, match=told):
        shape_of(source, ITEM, 3_999_999)


@pytest.mark.parametrize("dtype", [np.complex64, object, "U3", [("r", "u1"), ("g", "u1"), ("b", "u1")]])
def test_only_real_numbers_are_taken(dtype):
    for image, label in ((np.zeros(2, dtype), None), (np.zeros(2), np.zeros(2, dtype))):
        with pytest.raises(DataError, match=r"a\.raw: holds .*expected real numbers"):
            read_sample(OneItem(gives=Sample(image, label, ("v",), "")), ITEM)


def special(path: Path, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a socket"])
def test_pipes_and_devices_are_not_opened(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with pytest.raises(DataError, match=f"x: {kind}, expected a file"):
        check_plain(special(Path("x"), kind))


@pytest.mark.parametrize(
    ("source", "places"),
    [
        ("basic_ct", ("imagesTr/a.nii", "labelsTr/a.nii.gz")),
        ("imagenet", ("cat/a.png",)),
        ("npy_pairs", ("images/a.npy", "labels/a.npy")),
        ("tiff", ("images/a.tif", "labels/a.tif")),
        ("dicom", ("a/a.dcm",)),
        ("fields", ("a.npz",)),
        ("prepared", ("manifest.json",)),
    ],
)
def test_pipes_end_no_source(tmp_path, scratch, source, places):
    for package in ("pydicom",) if source == "dicom" else ("tifffile",) if source == "tiff" else ():
        pytest.importorskip(package)
    for place in places:
        special(tmp_path / "d" / place, "a pipe")
    with pytest.raises(DataError, match=r"a pipe, expected a file"):
        build_dataset("d", source, tmp_path / "d", tile_size=(4, 4, 4), labels=False, scratch=scratch)


@pytest.mark.parametrize("method", ["__init__(self, root)", "items(self)"])
def test_a_constructor_and_a_list_that_fail_name_the_root(tmp_path, scratch, method):
    code = f"""
        from ucf_vit.data.sources import Source
        class Broken(Source):
            spatial_dims = 2
            variables = ("v",)
            def __init__(self, root): pass
            def {method}: raise RuntimeError("no luck")
    """
    (tmp_path / "broken.py").write_text(textwrap.dedent(code))
    told = r"^/nowhere: can't be read \(RuntimeError: no luck; raised in broken\.py, line 7\)"
    with pytest.raises(DataError, match=told):
        build_dataset("d", f"{tmp_path}/broken.py:Broken", "/nowhere", tile_size=(4, 4), scratch=scratch)


def test_the_memory_of_this_machine_is_known():
    assert 2**28 < memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
