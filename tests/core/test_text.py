"""Text files with marks, and names of any bytes."""

import codecs
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.config import load
from ucf_vit.core.files.atomic_files import write_atomic
from ucf_vit.core.text import from_bytes, one_form, printable, read_text, to_bytes
from ucf_vit.training.hooks.jsonl import read_metrics
from ucf_vit.training.inputs.statistics_files import read as read_statistics


@given(st.binary(max_size=20))
def test_names_of_any_bytes_come_back(name: bytes) -> None:
    text = os.fsdecode(name)
    assert from_bytes(to_bytes(text)) == text and to_bytes(text) == name
    assert printable(text).encode().isascii() or printable(text) == text or "\\udc" in printable(text)


def test_one_form_of_a_name() -> None:
    forms = [unicodedata.normalize(form, "André") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1] and one_form(forms[0]) == one_form(forms[1])
    assert one_form("M\udcfcller") == "M\udcfcller"


MARKS = [
    b"",
    codecs.BOM_UTF8,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
]


def marked(text: str, mark: bytes) -> bytes:
    if mark in (b"", codecs.BOM_UTF8):
        return mark + text.encode()
    return mark + text.encode("utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be")


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_with_any_mark(tmp_path: Path, mark: bytes, newline: str) -> None:
    (tmp_path / "x").write_bytes(marked(f"é:{newline}b", mark))
    assert read_text(tmp_path / "x") == "é:\nb"


@pytest.mark.parametrize("mark", MARKS)
def test_a_config_with_any_mark(tmp_path: Path, mark: bytes) -> None:
    text = (Path(__file__).parents[1] / "config/small.yaml").read_text()
    (tmp_path / "run.yaml").write_bytes(marked(text.replace("/data/a", "/data/é"), mark))
    run = load(tmp_path / "run.yaml")
    assert run.data.dict_root_dirs["ct1"] == "/data/é"
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "embed_dim" in line)
    assert run.where("model.embed_dim").endswith(f":{number}")


def test_other_files_that_an_editor_has_marked(tmp_path: Path) -> None:
    stats = {"items": 1, "fingerprint": "x", "variables": {"t": {"values": 1, "mean": 0, "squares": 0}}}
    (tmp_path / "stats.json").write_bytes(marked(json.dumps(stats), codecs.BOM_UTF8))
    assert read_statistics(tmp_path / "stats.json").done == 1
    (tmp_path / "metrics.jsonl").write_bytes(marked('{"event": "step", "step": 1}\n', codecs.BOM_UTF8))
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"event": "step", "step": 1}]


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    write_atomic(tmp_path / "page.html", "M\udcfcller é")
    assert (tmp_path / "page.html").read_text() == "M\\udcfcller é"
