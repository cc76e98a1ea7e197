"""URLs as strings: parts, joining, and hiding of credentials."""

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
"""Required package of each scheme, and the extra of this package that installs it."""
HIDDEN = "***"
"""Replacement of hidden text."""
WEB = ("http", "https")
_SCHEME = re.compile(r"([A-Za-z][^/\s]+)://")
_ONE_SLASH = rf"\b(?:{'|'.join(EXTRAS)}):/"
_URL = re.compile(rf"(?P<kind>[A-Za-z][A-Za-z0-9+.-]{{1,30}})://|{_ONE_SLASH}", re.IGNORECASE)
_HOST = re.compile(r"([\w.~${}-]*|\[[0-9A-Fa-f:.]+\])(:\d+)?")
"""Host with its port; `$NAME` is an environment variable."""
_HOST_STARTS = re.compile(r"[\w[$]")
_SIGNED = re.compile(r"[?&][^=&/]*(?:sig|token|secret|credential|passw|key)[^=&/]*=", re.IGNORECASE)
"""Queries that give access (X-Amz-Signature, AWSAccessKeyId, sig); names of objects may contain `?` too."""
_PUNCTUATION = ":;,.?!)]}>"


def is_remote(path: str) -> bool:
    """Returns whether `path` is a URL: `s3://bucket/folder`, `https://host/folder`."""
    return bool(_SCHEME.match(path))


def begins_as_url(text: str) -> bool:
    """Returns whether `text` begins like a URL, even with only one slash."""
    return bool(_URL.match(text))


def scheme(url: str) -> str:
    """Returns `s3` for `s3://bucket/folder`, and an empty text for a local path."""
    match = _SCHEME.match(url)
    return match.group(1).lower() if match else ""


def join(root: str, *names: str) -> str:
    """Returns the path or URL of `names` below `root`; names are percent-encoded in http URLs only."""
    if not is_remote(root):
        return str(Path(root, *names))
    if scheme(root) in WEB:
        names = tuple(quote(name, safe="/") for name in names)
    return "/".join([root.rstrip("/"), *names])


def name_of(path: str) -> str:
    """Returns the last name of a path or URL."""
    if not is_remote(path):
        return Path(path).name
    name = path.rstrip("/").rpartition("/")[2]
    return unquote(name) if scheme(path) in WEB else name


def checked(path: str) -> str:
    """Checks a path or URL and returns it; a `file://` URL becomes a path.

    Raises UserError for an unknown scheme or for credentials, which the message does not show.
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
    """Raises UserError if `text` contains a URL with credentials or a query."""
    if bare(text) != text:
        raise UserError(
            f"{bare(text)}: the URL carries credentials or a query; remove them: credentials come from the "
            "environment or the usual files (AWS_ACCESS_KEY_ID, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS); "
            "such characters in the names of a web server are written %40, %3F, %23"
        )


def bare(text: str) -> str:
    """Returns `text`, which contains a URL, with everything from its credentials or its query on hidden.

    User and password may contain any characters, even blanks, quotes, slashes and `@`, so only the scheme of
    such a URL is shown.
    """
    for start, kind, rest in _urls(text):
        if _has_password(kind, rest):
            return text[:start] + HIDDEN
        if query := _query(kind, rest):
            return text[: start + query] + HIDDEN
    return text


def without_credentials(text: str) -> str:
    """Returns a message with credentials and queries of its URLs hidden; see `bare`.

    The rest of the message is shown, as far as the end of a URL can be determined.
    """
    lines = text.split("\n")
    return "\n".join(
        _hide_in_line(line, any("@" in one for one in lines[n:])) for n, line in enumerate(lines, 1)
    )


def _hide_in_line(line: str, goes_on: bool) -> str:
    """Hides parts of a line; `goes_on` says that a later line may have the end of a password."""
    shown: list[str] = []
    while hidden := _hidden(line, goes_on):
        start, end = hidden
        shown += [line[:start], HIDDEN]
        line = line[end:]
    return "".join([*shown, line])


def _hidden(line: str, goes_on: bool) -> tuple[int, int] | None:
    """Returns start and end of the first part to hide, None if there is none."""
    for start, kind, rest in _urls(line):
        word = _word(rest)
        # "s3://user: secret/@bucket" could be a sentence about s3://user; to be safe it counts as a password.
        host = re.split(r"[\s'\"/]", rest, maxsplit=1)[0]
        sign = rest.rfind("@") + 1
        early = kind in WEB or "@" in rest.partition("/")[0]
        if _has_password(kind, word) or (sign and (early or not _is_host(kind, host))):
            host = _word(rest[sign:]) if sign and _HOST_STARTS.match(rest, sign) else ""
            return start, start + sign + len(host) if host else len(line)
        if goes_on and not sign and not _is_host(kind, host):
            return start, len(line)
        if query := _query(kind, word):
            return start + query, start + len(word)
    return None


def _urls(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields for each URL the index after its scheme, the scheme, and the text after it."""
    for match in _URL.finditer(text):
        kind = match["kind"] or match.group().partition(":")[0]
        yield match.end(), kind.lower(), text[match.end() :]


def _word(text: str) -> str:
    """Returns the text before a blank or quote, without the punctuation of the sentence around it."""
    word = re.split(r"[\s'\"]", text, maxsplit=1)[0]
    return word if text[len(word) : len(word) + 1] in ("'", '"') else word.rstrip(_PUNCTUATION)


def _has_password(kind: str, rest: str) -> bool:
    host, _, path = rest.partition("/")
    return not _is_host(kind, host) or (kind in WEB and "@" in path)


def _is_host(kind: str, host: str) -> bool:
    """Returns whether `host` is only a host with its port, or the name of a bucket (without colon)."""
    if host == HIDDEN:
        return True
    if kind in WEB:
        return bool(_HOST.fullmatch(re.split("[?#]", host)[0]))
    return not set(host) & set(":@")


def _query(kind: str, rest: str) -> int:
    """Returns the length of the text up to the mark of a query to hide, 0 if there is none."""
    match = re.search(r"[?#]", rest) if kind in WEB else _SIGNED.search(rest)
    return match.start() + 1 if match else 0
