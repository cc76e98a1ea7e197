"""Intervals of numbers as people write them: `>0`, `<=3`, `1..255`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

NAN = "nan"
"""Text for NaN, which is in no interval."""
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"(>=|<=|>|<)\s*({_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})")


@dataclass(frozen=True)
class Interval:
    """Interval from `low` to `high`; `open_low` and `open_high` exclude these numbers themselves."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Returns the interval that `text` denotes; `1..255` includes both ends. Raises ValueError."""
        text = text.strip()
        if match := _BOUND.fullmatch(text):
            sign, number = match[1], float(match[2])
            if sign[0] == ">":
                return cls(number, math.inf, open_low=sign == ">")
            return cls(-math.inf, number, open_high=sign == "<")
        match = _RANGE.fullmatch(text)
        if not match or float(match[1]) > float(match[2]):
            raise ValueError(f"{text!r} is not a range of numbers such as '>0', '<=3' or '1..255'")
        return cls(float(match[1]), float(match[2]))

    def has(self, values: Any) -> Any:
        """Returns whether numbers (of an array, each) are in the interval; NaN is not."""
        above = values > self.low if self.open_low else values >= self.low
        return above & (values < self.high if self.open_high else values <= self.high)

    def meets(self, other: Interval) -> bool:
        """Returns whether the intervals have a number in common."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return low < high or (low == high and bool(self.has(low) and other.has(low)))
