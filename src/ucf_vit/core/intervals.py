"""Intervals of numbers as people write them: `>0`, `<=3`, `1..255`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

NAN = "nan"
"""Text for NaN, which no interval holds."""
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"(>=|<=|>|<)\s*({_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})")


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`; `open_low` and `open_high` say that these are not in it themselves."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @classmethod
    def parse(cls, text: str) -> Interval:
        """The interval that `text` means, both ends of `1..255` included. ValueError where it means none."""
        text = text.strip()
        if found := _BOUND.fullmatch(text):
            sign, number = found[1], float(found[2])
            if sign[0] == ">":
                return cls(number, math.inf, open_low=sign == ">")
            return cls(-math.inf, number, open_high=sign == "<")
        found = _RANGE.fullmatch(text)
        if not found or float(found[1]) > float(found[2]):
            raise ValueError(f"{text!r} is no range of numbers; expected one such as '>0', '<=3' or '1..255'")
        return cls(float(found[1]), float(found[2]))

    def has(self, values: Any) -> Any:
        """Which numbers of an array (or whether a number) are in it; NaN never is."""
        above = values > self.low if self.open_low else values >= self.low
        return above & (values < self.high if self.open_high else values <= self.high)

    def meets(self, other: Interval) -> bool:
        """Whether a number is in both."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return low < high or (low == high and bool(self.has(low) and other.has(low)))
