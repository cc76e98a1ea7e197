"""Zarr stores that refuse invalid chunks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, WrapperStore

from ucf_vit.data.formats.unpacked_size import check_unpacked

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype


class CheckedStore(WrapperStore):
    """Wrapper of a store in which no chunk may unpack to more than `limit` bytes; `root` is its local
    directory.

    Zarr takes a chunk that is a directory for one that was never written, and returns zeros.
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
        """Returns the content of `key`. Raises ValueError."""
        content = await super().get(key, prototype, byte_range)
        if content is None:
            if self._root is not None and (self._root / key).is_dir():
                raise ValueError(f"{key} is a directory, expected a chunk or a header")
        else:
            check_unpacked(key, content.to_bytes(), self._limit)
        return content


def local_store(path: str, limit: int) -> CheckedStore:
    """Returns the store in a directory."""
    return CheckedStore(LocalStore(path, read_only=True), limit, Path(path))
