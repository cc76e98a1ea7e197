"""Patient or subject of each item: from a pattern in its path, a table, or the layout of its data set."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ucf_vit.core.errors import DataError, UserError
from ucf_vit.core.lists import first_few
from ucf_vit.core.text import one_form, read_text
from ucf_vit.data.reading import reading
from ucf_vit.data.sources import Item

COLUMNS = ("item", "group", "split")
"""Columns of a table: the key, path or file name of an item; its group; its split."""


def group_of_items(items: Sequence[Item], root: str, how: str = "") -> dict[str, str]:
    """Returns the group of each item by its key, "" where none is known.

    `how` is a regular expression with one group, searched in the path below `root` and then in the key; or
    the path of a .csv with the columns `item` and `group`; or nothing, for the groups that the layout gives.
    Raises DataError where an item has none by `how`, and UserError for another kind of pattern.
    """
    if not how:
        return {item.key: item.group for item in items}
    if how.lower().endswith(".csv"):
        table = read_table(Path(how), "group")
        groups = {item.key: look_up(table, item) for item in items}
        wanted = f"expected a row of {how} with its key, path or file name"
    else:
        pattern = pattern_of_groups(how)
        groups = {item.key: _match(pattern, item, root) for item in items}
        wanted = f"expected a match of {how!r} in its path below {root} or in its key"
    without = [key for key, group in groups.items() if not group]
    if without:
        raise DataError(
            f"{root}: data.groups gives no group to {len(without)} of {len(items)} items "
            f"({first_few(without)}); {wanted}"
        )
    return {key: group or "" for key, group in groups.items()}


def pattern_of_groups(how: str) -> re.Pattern[str]:
    """Returns the regular expression `how`. Raises UserError where it is none, or has not one group."""
    try:
        pattern = re.compile(how)
    except re.error as error:
        raise UserError(f"{how}: expected a regular expression ({error}), or a .csv") from None
    if pattern.groups != 1:
        raise UserError(
            f"{how}: expected a regular expression with one group in (), or a .csv; it has {pattern.groups}"
        )
    return pattern


def _match(pattern: re.Pattern[str], item: Item, root: str) -> str | None:
    for text in (item.image.removeprefix(root), item.key):
        match = pattern.search(text)
        if match and match[1]:
            return match[1]
    return None


def read_table(path: Path, column: str) -> Mapping[str, str]:
    """Returns the values of `column` by item, from a CSV with the columns `item` and `column`."""
    with reading(str(path), "no table of items"):
        rows = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True)
        names = [name.strip() for name in rows.fieldnames or ()]
        if "item" not in names or column not in names:
            raise ValueError(f"expected the columns item and {column}, found {', '.join(names) or 'none'}")
        rows.fieldnames = names
        pairs = [((row["item"] or "").strip(), (row[column] or "").strip()) for row in rows]
    return _distinct(filter(any, pairs), path, column)


def _distinct(pairs: Iterable[tuple[str, str]], path: Path, column: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for name, value in pairs:
        if table.setdefault(one_form(name), value) != value:
            raise DataError(
                f"{path}: item {name} has the {column} {table[one_form(name)]!r} and {value!r}; keep one"
            )
    return table


def look_up(table: Mapping[str, str], item: Item) -> str | None:
    """Returns the entry of an item by its key, its path, or the name of its file with or without suffix."""
    return next((table[name] for name in names_of(item) if name in table), None)


def names_of(item: Item) -> tuple[str, ...]:
    """Returns the names by which a table or a file of splits may call an item, the first one first."""
    file = item.image.rpartition("/")[2]
    return tuple(map(one_form, (item.key, item.image, file, file.partition(".")[0])))
