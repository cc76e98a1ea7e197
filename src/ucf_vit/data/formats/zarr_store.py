"""Zarr's stores, with chunks that can't be what they are said to be refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, WrapperStore

from ucf_vit.data.formats.unpacked_size import check_unpacked

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype


class CheckedStore(WrapperStore):
    """Another store, of which no chunk unpacks to more than `limit` bytes; `root` is its local directory.

    Zarr takes a chunk that is a directory for one that was never written, and gives zeros.
    """

    def __init__(self, store: Store, limit: int, root: Path | None = None) -> None:
        super().__init__(store)
        self._limit = limit
        self._root = root

    def _with_store(self, store: Any) -> CheckedStore:
        return CheckedStore(store, self._limit, self._root)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The content of `key`. Raises ValueError."""
        found = await super().get(key, prototype, byte_range)
        if found is None:
            if self._root is not None and (self._root / key).is_dir():
                raise ValueError(f"{key} is a directory, expected a chunk or a header")
        else:
            check_unpacked(key, found.to_bytes(), self._limit)
        return found


def local_store(path: str, limit: int) -> CheckedStore:
    """The store in a directory."""
    return CheckedStore(LocalStore(path, read_only=True), limit, Path(path))
