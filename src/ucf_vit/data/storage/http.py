"""Files of a web server whose directories are pages of links."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

from ucf_vit.data.storage.by_fsspec import FsspecStore
from ucf_vit.data.storage.store import Entry


class HttpStore(FsspecStore):
    """Files of one host; directories are read from their pages of links (nginx, Apache, `http.server`)."""

    def entries(self, root: str) -> list[Entry]:
        """Returns the entries directly below a directory, without sizes."""
        base = root.rstrip("/") + "/"
        try:
            page = bytes(self.files.cat_file(base))
        except FileNotFoundError:
            return []
        return links_below(base, page.decode(errors="replace"))

    def stat(self, url: str) -> Entry:
        """Returns size and version of a file."""
        try:
            return super().stat(url)
        except FileNotFoundError as error:  # what fsspec makes of every failure
            raise error.__cause__ or error from None

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Returns bytes `start` to `stop`, also from a server that ignores ranges and sends everything."""
        content = super().read(url, entry, start, stop)
        return content[start:stop] if len(content) == entry.size else content


def links_below(base: str, page: str) -> list[Entry]:
    """Returns the files and folders directly below `base` that an HTML page links to."""
    entries: dict[str, Entry] = {}
    for link in _Links(page).found:
        target = unquote(urljoin(base, link).partition("#")[0].partition("?")[0])
        if not target.startswith(unquote(base)):
            continue
        name = target[len(unquote(base)) :]
        if name.rstrip("/") and "/" not in name.rstrip("/"):
            entries[name.rstrip("/")] = Entry(name.rstrip("/"), name.endswith("/"))
    return list(entries.values())


class _Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Records the target of a link."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
