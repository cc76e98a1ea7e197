"""URLs as strings: their parts, names below them, and what must never be shown of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from ucf_vit.core.errors import UserError

EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "memory": ("fsspec", ""),
}
"""Of each scheme: the package it needs, and the extra of this package that installs it."""
HIDDEN = "***"
"""Stands for what is not shown."""
WEB = ("http", "https")
_SCHEME = re.compile(r"([A-Za-z][^/\s]+)://")
_ONE_SLASH = rf"\b(?:{'|'.join(EXTRAS)}):/"
_URL = re.compile(rf"(?P<kind>[A-Za-z][A-Za-z0-9+.-]{{1,30}})://|{_ONE_SLASH}", re.IGNORECASE)
_HOST = re.compile(r"([\w.~${}-]*|\[[0-9A-Fa-f:.]+\])(:\d+)?")
"""With its port; `$NAME` is a variable of the environment."""
_HOST_STARTS = re.compile(r"[\w[$]")
_SIGNED = re.compile(r"[?&][^=&/]*(?:sig|token|secret|credential|passw|key)[^=&/]*=", re.IGNORECASE)
"""Of a query that gives access: X-Amz-Signature, AWSAccessKeyId, sig; other names of objects may hold `?`."""
_PUNCTUATION = ":;,.?!)]}>"


def is_remote(path: str) -> bool:
    """Whether `path` is a URL: `s3://bucket/folder`, `https://host/folder`."""
    return bool(_SCHEME.match(path))


def begins_as_url(text: str) -> bool:
    """Whether `text` was meant to be a URL, also one with a slash too few."""
    return bool(_URL.match(text))


def scheme(url: str) -> str:
    """`s3` of `s3://bucket/folder`; empty of a local path."""
    found = _SCHEME.match(url)
    return found.group(1).lower() if found else ""


def join(root: str, *names: str) -> str:
    """The path or URL of `names` below `root`: percent-encoded in http URLs, as it is in all others."""
    if not is_remote(root):
        return str(Path(root, *names))
    if scheme(root) in WEB:
        names = tuple(quote(name, safe="/") for name in names)
    return "/".join([root.rstrip("/"), *names])


def name_of(path: str) -> str:
    """The last name of a path or URL."""
    if not is_remote(path):
        return Path(path).name
    name = path.rstrip("/").rpartition("/")[2]
    return unquote(name) if scheme(path) in WEB else name


def checked(path: str) -> str:
    """A path, or a URL of a kind that is known and without credentials; `file://` becomes a path.

    Raises UserError, in whose message there are no credentials either.
    """
    refuse_credentials(path)
    kind = scheme(path)
    if kind == "file":
        return unquote("/" + path.partition("://")[2].partition("/")[2])
    if kind and kind not in EXTRAS:
        raise UserError(f"{path}: URLs of {kind}:// are not known; known are {', '.join(EXTRAS)}")
    if re.match(_ONE_SLASH + "(?!/)", path, re.IGNORECASE):
        raise UserError(f"{path}: a URL has two slashes after its scheme, as in s3://bucket/folder")
    return path


def refuse_credentials(text: str) -> None:
    """UserError where `text` is or contains a URL with credentials or a query."""
    if bare(text) != text:
        raise UserError(
            f"{bare(text)}: the URL carries credentials or a query; remove them: credentials come from the "
            "environment or the usual files (AWS_ACCESS_KEY_ID, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS); "
            "such characters in the names of a web server are written %40, %3F, %23"
        )


def bare(text: str) -> str:
    """`text`, which is or contains a URL, with nothing shown from its credentials or query on.

    User and password may hold anything, also blanks, quotes, slashes and `@`: so of a URL that has them only
    the scheme is shown.
    """
    for start, kind, rest in _urls(text):
        if _has_password(kind, rest):
            return text[:start] + HIDDEN
        if query := _query(kind, rest):
            return text[: start + query] + HIDDEN
    return text


def without_credentials(text: str) -> str:
    """A message with no more of each URL in it than `bare` shows, as far as it can be told where it ends."""
    return "\n".join(map(_hide_in_line, text.split("\n")))


def _hide_in_line(line: str) -> str:
    shown: list[str] = []
    while hidden := _hidden(line):
        start, end = hidden
        shown += [line[:start], HIDDEN]
        line = line[end:]
    return "".join([*shown, line])


def _hidden(line: str) -> tuple[int, int] | None:
    """Beginning and end of the first part that is not to be shown."""
    for start, kind, rest in _urls(line):
        word = _word(rest)
        # "s3://user: secret/@bucket" could be a sentence about s3://user; it is taken for the worse.
        host = re.split(r"[\s'\"/]", rest, maxsplit=1)[0]
        sign = rest.rfind("@") + 1
        early = kind in WEB or "@" in rest.partition("/")[0]
        if _has_password(kind, word) or (sign and (early or not _is_host(kind, host))):
            host = _word(rest[sign:]) if sign and _HOST_STARTS.match(rest, sign) else ""
            return start, start + sign + len(host) if host else len(line)
        if query := _query(kind, word):
            return start + query, start + len(word)
    return None


def _urls(text: str) -> Iterator[tuple[int, str, str]]:
    """Of each URL: where it goes on after its scheme, the scheme, and all that follows."""
    for found in _URL.finditer(text):
        kind = found["kind"] or found.group().partition(":")[0]
        yield found.end(), kind.lower(), text[found.end() :]


def _word(text: str) -> str:
    """Returns the text before a blank or quote, without the punctuation of the sentence around it."""
    word = re.split(r"[\s'\"]", text, maxsplit=1)[0]
    return word if text[len(word) : len(word) + 1] in ("'", '"') else word.rstrip(_PUNCTUATION)


def _has_password(kind: str, rest: str) -> bool:
    host, _, path = rest.partition("/")
    return not _is_host(kind, host) or (kind in WEB and "@" in path)


def _is_host(kind: str, host: str) -> bool:
    """Whether `host` is no more than a host with its port, or the name of a bucket, which has no colon."""
    if host == HIDDEN:
        return True
    if kind in WEB:
        return bool(_HOST.fullmatch(re.split("[?#]", host)[0]))
    return not set(host) & set(":@")


def _query(kind: str, rest: str) -> int:
    """Length of what comes up to the mark of a query that is not to be shown; 0 where there is none."""
    found = re.search(r"[?#]", rest) if kind in WEB else _SIGNED.search(rest)
    return found.start() + 1 if found else 0
