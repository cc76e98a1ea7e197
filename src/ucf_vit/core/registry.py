"""Registry of classes and functions by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from ucf_vit.core import plugins
from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError
from ucf_vit.core.signatures import Signature

T = TypeVar("T")


class Registry(Generic[T]):
    """Registry of classes or functions that make a `T`, by name.

    A name is looked up among the entries registered by the decorator, the built-in ones, the entry points of
    installed packages, and as `path/to/file.py:Name`, in this order. Entries are imported when they are
    looked up, so that names are known without importing the packages behind them.

    Args:
        kind: kind of the entries, for messages.
        group: group of entry points, such as "ucf_vit.networks"; empty: only registered and built-in entries.
        built_in: places of the built-in entries: {"vit": "ucf_vit.models.vit:VIT"}.
        error: raised if a name or an option is unknown, or an entry cannot be loaded.
    """

    def __init__(
        self,
        kind: str,
        group: str = "",
        built_in: Mapping[str, str] | None = None,
        error: type[UserError] = UserError,
    ) -> None:
        self.kind = kind
        self.group = group
        self.built_in = dict(built_in or {})
        self.error = error
        self._entries: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Returns a decorator that registers a class or function as `name`."""

        def enter(entry: Callable[..., T]) -> Callable[..., T]:
            if self._entries.get(name, entry) is not entry or name in self.built_in:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> Callable[..., T]:
        """Returns the entry called `name`. Raises `error` if there is none, or if it cannot be loaded."""
        if name not in self._entries and name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            self._entries[name] = getattr(importlib.import_module(module), attribute)
        if name in self._entries:
            return self._entries[name]
        self.check(name)
        points = self._installed()
        entry = self._load(points[name]) if name in points else plugins.load(name, self.kind, self.error)
        if not callable(entry):
            raise self.error(f"{name}: expected a class or a function ({self.kind}), got {entry!r:.80}")
        return cast(Callable[..., T], entry)

    def check(self, name: str) -> None:
        """Raises `error`, with all known names, if there is no entry `name`; imports nothing."""
        if name in self or (self.group and plugins.in_file(name)):
            return
        known = [*self, *sorted(self._installed())]
        if name not in known:
            hint = did_you_mean(name, known)
            ways = ", ".join([*known, *(["or path/to/file.py:ClassName"] if self.group else [])])
            raise self.error(f"no {self.kind} named {name!r}{hint}; known: {ways}")

    def arguments(
        self, name: str, options: Mapping[str, Any], offered: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns the arguments for the entry `name`: `options`, and those of `offered` that it takes.

        Raises `error` for an option that the entry does not take, with a similar one that it does, and for a
        missing parameter without a default.
        """
        signature = Signature.of(self[name])
        for key in options:
            if not signature.takes(key):
                known = ", ".join(signature.names) or "none"
                hint = did_you_mean(key, signature.names)
                raise self.error(f"{self.kind} {name} takes no option {key!r}{hint}; it takes {known}")
        chosen = {key: value for key, value in (offered or {}).items() if key in signature.names}
        chosen |= options
        if missing := [key for key in signature.required if key not in chosen]:
            names = ", ".join(missing)
            raise self.error(f"{self.kind} {name} needs {names}, without a default, and no value was given")
        return chosen

    def build(self, name: str, options: Mapping[str, Any], offered: Mapping[str, Any] | None = None) -> T:
        """Calls the entry `name` with `options` and `offered`, see `arguments`, and returns the result."""
        return self[name](**self.arguments(name, options, offered))

    def __iter__(self) -> Iterator[str]:
        """Iterates over the registered and built-in names in alphabetical order."""
        return iter(sorted({*self._entries, *self.built_in}))

    def __contains__(self, name: object) -> bool:
        """Returns whether `name` is registered or built in."""
        return name in self._entries or name in self.built_in

    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)} if self.group else {}

    def _load(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except Exception as cause:
            package = "" if point.dist is None else f" of the package {point.dist.name}"
            raise self.error(
                f"{self.kind} {point.name!r} ({point.value}{package}) can't be loaded: "
                f"{type(cause).__name__}: {cause}"
            ) from cause
