"""Fields of options whose values have limits, or are one of a few; configs follow the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, get_args

from ucf_vit.core.did_you_mean import did_you_mean
from ucf_vit.core.errors import UserError

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
"""Signs of limits, by their names in pydantic."""
INFINITE = float("inf")
_RULE = "rule"


@dataclass(frozen=True)
class Range:
    """A whole number, or any real one, within limits."""

    kind: type
    limits: Mapping[str, float]

    def accepts(self, value: object) -> bool:
        """Returns whether a value is such a number."""
        if not isinstance(value, self.kind) or isinstance(value, bool):
            return False
        low, above = self.limits.get("ge", -INFINITE), self.limits.get("gt", -INFINITE)
        high, below = self.limits.get("le", INFINITE), self.limits.get("lt", INFINITE)
        return low <= value <= high and above < value < below  # type: ignore[operator]

    def __str__(self) -> str:
        limits = " and ".join(f"{SIGNS[name]} {limit}" for name, limit in self.limits.items())
        return f"a {'whole ' if self.kind is Integral else ''}number {limits}"


@dataclass(frozen=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """Returns whether a value is one of them."""
        return value in self.names

    def __str__(self) -> str:
        return f"one of {', '.join(self.names)}"


AT_LEAST_1 = Range(Integral, {"ge": 1})


def whole(default: Any = MISSING, **limits: float) -> Any:
    """Returns the field of a whole number within `limits` (ge, gt, le, lt)."""
    return field(default=default, metadata={_RULE: Range(Integral, limits)})


def number(default: Any = MISSING, **limits: float) -> Any:
    """Returns the field of a finite number within `limits` (ge, gt, le, lt)."""
    return field(default=default, metadata={_RULE: Range(Real, limits)})


def choice(default: str, names: Any) -> Any:
    """Returns the field of one of the names of a `Literal`."""
    return field(default=default, metadata={_RULE: Choice(get_args(names))})


def check_values(options: Any) -> None:
    """Raises UserError for the first value that its rule does not accept; a default of None may stay."""
    for one in fields(options):
        rule, value = one.metadata.get(_RULE), getattr(options, one.name)
        if rule is not None and not (value is None and one.default is None):
            check(one.name, value, rule)


def check(name: str, value: object, rule: Range | Choice) -> None:
    """Raises UserError for a value that `rule` does not accept."""
    if not rule.accepts(value):
        hint = did_you_mean(value, rule.names) if isinstance(rule, Choice) and isinstance(value, str) else ""
        raise UserError(f"{name} {value!r}: expected {rule}{hint}")


def default_of(kind: type, name: str) -> Any:
    """Returns the default of an option."""
    return _fields(kind)[name].default


def limits_of(kind: type, name: str) -> dict[str, Any]:
    """Returns the limits of an option that is a number."""
    rule = _fields(kind)[name].metadata[_RULE]
    return dict(rule.limits)


def _fields(kind: type) -> dict[str, Any]:
    return {one.name: one for one in fields(kind)}
