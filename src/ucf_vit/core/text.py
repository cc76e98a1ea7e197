"""Text in files of users, with or without a byte order mark; names of any bytes, and in any Unicode form."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text in a file, see `decoded_text`. Raises OSError and UnicodeDecodeError."""
    return decoded_text(path.read_bytes())


def decoded_text(content: bytes) -> str:
    """Text in UTF-8, or in what a mark at its beginning says, with line breaks of any system."""
    encoding = "utf-16" if content[:2] in _UTF_16 else "utf-8-sig"
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def one_line(text: object) -> str:
    """Returns the text of `text`, such as an exception, in one line."""
    return " ".join(str(text).split())


def named_failure(error: BaseException, text: object = None) -> str:
    """Returns an exception by type and text in one line: `ValueError: no such axis`, or only the type."""
    return ": ".join([type(error).__name__, *filter(None, [one_line(error if text is None else text)])])


def to_bytes(name: str) -> bytes:
    """UTF-8; a name of a file that is none is the bytes that it has on the disk."""
    return name.encode(errors="surrogateescape")


def from_bytes(name: bytes) -> str:
    """Returns the text that `to_bytes` encoded."""
    return name.decode(errors="surrogateescape")


def printable(text: str) -> str:
    """`text` with the bytes of names that are no UTF-8 written out, as in `M\\udcfcller`."""
    return text.encode(errors="backslashreplace").decode()


def one_form(name: str) -> str:
    """`name` with accents composed (NFC): systems write é as one letter or as e and an accent."""
    return unicodedata.normalize("NFC", name)
