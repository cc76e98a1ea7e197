"""Named parameters of classes and functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Signature:
    """Names of parameters, those without a default, and whether other names are accepted (`**options`)."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    open: bool

    @classmethod
    def of(cls, entry: Callable[..., Any]) -> Signature:
        """Returns the signature of a function or constructor.

        The `**options` of a constructor stand for the parameters of the inherited constructor. Those of them
        without a default do not count as required, since the subclass may pass them.
        """
        names: dict[str, None] = {}
        required: list[str] = []
        is_open = True
        for number, signature in enumerate(_signatures(entry)):
            named = [one for one in signature.parameters.values() if one.kind in _NAMED]
            names |= dict.fromkeys(one.name for one in named)
            if number == 0:
                required = [one.name for one in named if one.default is Parameter.empty]
            is_open = any(one.kind is Parameter.VAR_KEYWORD for one in signature.parameters.values())
            if not is_open:
                break
        return cls(tuple(names), tuple(required), is_open)

    def takes(self, name: str) -> bool:
        """Returns whether there is a parameter of this name."""
        return self.open or name in self.names


def _signatures(entry: Callable[..., Any]) -> Iterator[inspect.Signature]:
    """Yields the signature of `entry` and, for a class, those of the inherited constructors, in order."""
    yield inspect.signature(entry)
    if inspect.isclass(entry):
        inherited = [base for base in entry.__mro__ if "__init__" in vars(base) and base is not object]
        for base in inherited[1:]:
            own = inspect.signature(vars(base)["__init__"])
            yield own.replace(parameters=list(own.parameters.values())[1:])
