"""Named plugins: what a config names by a string is looked up here."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from ucf_vit.core.errors import UserError

T = TypeVar("T")


def did_you_mean(word: str, known: Mapping[str, Any] | list[str]) -> str:
    """`" (did you mean 'x'?)"` for the known word nearest to `word`, or the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Registry(Generic[T]):
    """A table from name to class or function.

    The constructor's signature is the plugin's schema: `build` passes it those options that it names.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator that enters a class or function under `name`."""

        def enter(entry: Callable[..., T]) -> Callable[..., T]:
            if self._entries.get(name, entry) is not entry:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise UserError(
                f"no {self.kind} named {name!r}{did_you_mean(name, self._entries)}; known: {known}"
            )
        return self._entries[name]

    def build(self, name: str, options: Mapping[str, Any]) -> T:
        """Build the plugin `name` from those of `options` that its signature names."""
        entry = self[name]
        accepted = inspect.signature(entry).parameters
        return entry(**{key: value for key, value in options.items() if key in accepted})

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries
