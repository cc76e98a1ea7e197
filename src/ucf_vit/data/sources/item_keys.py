"""Keys that identify the values of an item: its files, and all options that change them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ucf_vit.data.sources.source import Item, Source
from ucf_vit.data.storage import Files, is_remote
from ucf_vit.data.storage.store import UNKNOWN
from ucf_vit.planning.shape_reader import file_stamp


class ItemKeys:
    """Keys of the items of `source`, under which values made of them are shared by processes.

    `options` are those that change the values. Some sources find a channel by its number, others by its name;
    both are part of a key.
    """

    def __init__(self, source: Source, options: Mapping[str, Any], files: Files) -> None:
        self._source, self._files = source, files
        try:
            code = inspect.getfile(type(source))
        except (OSError, TypeError):  # a class of an interactive session
            code = ""
        kind = (type(source).__qualname__, code, file_stamp(code))
        given = sorted((name, repr(value)) for name, value in options.items())
        self._about = (kind, source.spatial_dims, source.variables, given)
        self._states: dict[str, tuple[str, int, int]] = {}

    def of(self, item: Item) -> tuple[object, ...] | None:
        """Returns the key of an item; None where the state of one of its files is not known."""
        states = [self._state(name) for name in self._source.parts(item)]
        if any(UNKNOWN in state for state in states):
            return None
        return (*self._about, item.key, item.step, item.class_index, item.label is None, states)

    def _state(self, name: str) -> tuple[str, int, int]:
        """Returns a key of the current contents of a file or directory; a directory of chunks is scanned
        once.
        """
        if name not in self._states:
            path = name if is_remote(name) else str(Path(name).absolute())
            self._states[name] = path, *self._files.state(name)
        return self._states[name]
