"""Report of a transfer of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Transfer:
    """Report of a transfer: every tensor of source and target, and what became of it.

    Attributes:
        taken: tensors that were copied as they are.
        changed: tensors that were fitted to the target, such as interpolated positions, and how.
        partly: tensors of which only the rows of some variables were copied, with these variables.
        left: tensors of the source that were not copied, with the reason.
        initial: tensors of the target that keep their initial values.
    """

    taken: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)
    partly: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    initial: list[str] = field(default_factory=list)

    @property
    def arrived(self) -> set[str]:
        """Tensors of the target that have new values."""
        return {*self.taken, *self.changed, *self.partly}

    def note(self, name: str, how: str) -> None:
        """Notes a tensor as changed, or as taken if `how` is empty."""
        if how:
            self.changed[name] = how
        else:
            self.taken.append(name)

    def __str__(self) -> str:
        """Returns the report as several lines, with the tensors of a module counted instead of listed."""
        lines = [f"taken: {summary(self.taken)}"]
        lines += by_reason("changed", self.changed)
        lines += [f"taken in part: {name} ({which})" for name, which in self.partly.items()]
        lines += by_reason("left", self.left)
        lines.append(f"keeps its initial values: {summary(self.initial)}")
        return "\n".join(lines)


def summary(names: Sequence[str]) -> str:
    """Returns the names grouped by their first part: `encoder (48 tensors), embed.bias`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0], []).append(name)
    texts = [f"{top} ({len(all_)} tensors)" if len(all_) > 1 else all_[0] for top, all_ in groups.items()]
    return ", ".join(texts) or "nothing"


def by_reason(title: str, names: dict[str, str]) -> list[str]:
    """Returns a line for each reason: `left (REASON): NAMES`."""
    return [
        f"{title} ({reason}): {summary([name for name, why in names.items() if why == reason])}"
        for reason in dict.fromkeys(names.values())
    ]
