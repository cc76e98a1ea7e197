"""Verifies the files of a prepared data set."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ucf_vit.core.errors import DataError
from ucf_vit.core.files.digests import file_digest
from ucf_vit.core.lists import first_and_rest
from ucf_vit.data.formats.prepared import manifest
from ucf_vit.data.formats.prepared.manifest import Manifest, Pack
from ucf_vit.data.sources.prepared import load

SHOWN = 10


def verify(
    root: Path, workers: int = 1, on_items: Callable[[int, int], None] = lambda done, total: None
) -> Manifest:
    """Reads all files below `root` and compares their hashes. Raises DataError that names differences and
    items.
    """
    written = load(str(root))

    def check(pack: Pack) -> list[str]:
        return list(filter(None, (_problem(root, written, pack, name) for name in pack.files)))

    wrong: list[str] = []
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        for pack, problems in zip(written.packs, pool.map(check, written.packs), strict=True):
            wrong += problems
            done += len(pack.items)
            on_items(done, len(written.keys))
    if wrong:
        shown = "\n  ".join(first_and_rest(wrong, SHOWN))
        raise DataError(
            f"{root}: {len(wrong)} file(s) differ from those written; copy or prepare them again\n  {shown}"
        )
    return written


def _problem(root: Path, written: Manifest, pack: Pack, name: str) -> str | None:
    """Returns the problem of a file, if any."""
    size, digest = pack.files[name]
    path = root / written.folder / pack.name / name
    try:
        if path.stat().st_size == size and file_digest(path) == digest:
            return None
        cause = (
            "other contents" if path.stat().st_size == size else f"{path.stat().st_size} bytes, not {size}"
        )
    except OSError as error:
        cause = error.strerror or str(error)
    keys = [written.keys[number] for number in pack.items]
    items = ", ".join(first_and_rest(keys, 3))
    return f"{path}: {cause} (items: {items})"


def data_sets(root: Path) -> list[Path]:
    """Returns `root`, or the data sets directly below it. Raises DataError where there is none."""
    if (root / manifest.FILE).is_file() or not root.is_dir():
        return [root]
    folders = sorted(path.parent for path in root.glob(f"*/{manifest.FILE}"))
    if not folders:
        raise DataError(f"{root}: no prepared data set found; expected {manifest.FILE} in it, or below it")
    return folders
