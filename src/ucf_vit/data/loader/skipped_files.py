"""Unreadable files that a stream has skipped."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ucf_vit.core.errors import DataError
from ucf_vit.data.batch import Skipped

log = logging.getLogger(__name__)
SHOWN = 3


class SkippedFiles:
    """Unreadable files, each once, with their causes; at most `limit` are accepted."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._causes: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._causes)

    @property
    def files(self) -> tuple[Skipped, ...]:
        """The files, in the order in which they were met."""
        return tuple(Skipped(file, cause) for file, cause in self._causes.items())

    def add(self, skipped: Iterable[Skipped]) -> None:
        """Records files and logs the new ones. Raises DataError where there are more than `limit`."""
        for one in skipped:
            if one.file not in self._causes:
                log.warning("skipped an unreadable file: %s", one.cause)
                self._causes[one.file] = one.cause
        if len(self) > self.limit:
            shown = "; ".join(list(self._causes.values())[:SHOWN])
            raise DataError(
                f"{len(self)} unreadable files, more than data.max_errors = {self.limit}: {shown}"
            )
