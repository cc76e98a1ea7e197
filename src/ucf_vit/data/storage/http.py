"""Files of a web server, whose directories are pages of links."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

from ucf_vit.data.storage.by_fsspec import FsspecStore
from ucf_vit.data.storage.store import Entry


class HttpStore(FsspecStore):
    """The files of one host; a directory is what its page of links (nginx, Apache, `http.server`) shows."""

    def entries(self, root: str) -> list[Entry]:
        """What lies directly below a directory; sizes are not told."""
        base = root.rstrip("/") + "/"
        try:
            page = bytes(self.files.cat_file(base))
        except FileNotFoundError:
            return []
        return links_below(base, page.decode(errors="replace"))

    def read(self, url: str, entry: Entry, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop`, also of a server that knows no ranges and sends everything."""
        found = super().read(url, entry, start, stop)
        return found[start:stop] if len(found) == entry.size else found


def links_below(base: str, page: str) -> list[Entry]:
    """Files and folders directly below `base` that an HTML page links to."""
    found: dict[str, Entry] = {}
    for link in _Links(page).found:
        target = unquote(urljoin(base, link).partition("#")[0].partition("?")[0])
        if not target.startswith(unquote(base)):
            continue
        name = target[len(unquote(base)) :]
        if name.rstrip("/") and "/" not in name.rstrip("/"):
            found[name.rstrip("/")] = Entry(name.rstrip("/"), name.endswith("/"))
    return list(found.values())


class _Links(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link goes."""
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
