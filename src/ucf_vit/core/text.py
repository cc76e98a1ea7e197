"""Decoding of text files, and names with bytes that are not UTF-8."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Returns the text in a file, see `decoded_text`. Raises OSError and UnicodeDecodeError."""
    return decoded_text(path.read_bytes())


def decoded_text(content: bytes) -> str:
    """Decodes UTF-8, or UTF-16 with a byte order mark; line breaks become newlines."""
    encoding = "utf-16" if content[:2] in _UTF_16 else "utf-8-sig"
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def one_line(text: object) -> str:
    """Returns the text of an object, such as an exception, as one line."""
    return " ".join(str(text).split())


def named_failure(error: BaseException, text: object = None) -> str:
    """Returns type and text of an exception as one line: `ValueError: no such axis`, or only the type."""
    return ": ".join([type(error).__name__, *filter(None, [one_line(error if text is None else text)])])


def to_bytes(name: str) -> bytes:
    """Returns a file name as UTF-8; bytes that are not UTF-8 are restored from Python's surrogates."""
    return name.encode(errors="surrogateescape")


def from_bytes(name: bytes) -> str:
    """Returns the text that `to_bytes` encoded."""
    return name.decode(errors="surrogateescape")


def printable(text: str) -> str:
    """Returns `text` with bytes that are not UTF-8 escaped, as in `M\\udcfcller`."""
    return text.encode(errors="backslashreplace").decode()


def one_form(name: str) -> str:
    """Returns `name` with composed accents (NFC): systems store é as one letter, or as e and an accent."""
    return unicodedata.normalize("NFC", name)
