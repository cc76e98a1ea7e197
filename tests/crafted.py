"""Checkpoints as a stranger would make them."""

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ucf_vit import checkpoint
from ucf_vit.checkpoint.read import sha256
from ucf_vit.core.errors import UserError


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE: list[Any] = [
    None, True, -1, 0, 1.5, math.nan, math.inf, 2**50, 2**63, 10**400, "", "x" * 100_000, "../../etc/passwd",
    "/etc/passwd", "\x1b[2J\n", "\ud800", [], {}, [[]], {"": None}, {"__class__": "os.system"}, nested(100),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values in JSON."""
    if path:
        yield path
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in items:
            yield from places(below, (*path, key))


def mutated(value: Any, dice: random.Random) -> Any:
    """The same with one to three values deleted, renamed or replaced by strange ones."""
    value = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 2, 3))):
        *above, key = dice.choice(list(places(value)))
        parent = value
        for step in above:
            parent = parent[step]
        how = dice.random()
        if isinstance(parent, tuple):
            continue
        if how < 0.25:
            del parent[key]
        elif how < 0.35 and isinstance(parent, dict):
            parent[dice.choice(["x", "../x", "", "state-00002-of-00003.pt"])] = parent.pop(key)
        else:
            parent[key] = copy.copy(dice.choice(STRANGE))
    return value


def write_meta(slot: Path, meta: Any) -> None:
    text = json.dumps(meta).replace('"/etc/passwd"', "[" * 9_000 + "]" * 9_000)  # deeper than Python writes
    (slot / checkpoint.META).write_text(text)


def read_json(slot: Path) -> Any:
    return json.loads((slot / checkpoint.META).read_text())


def seal(slot: Path) -> None:
    """Let the sums be those of the files, as somebody would who has changed them."""
    meta = read_json(slot)
    meta["sha256"] = {path.name: sha256(path) for path in slot.iterdir() if path.name != checkpoint.META}
    write_meta(slot, meta)


def one_message(work: Callable[[], object]) -> str:
    """Returns the message of the UserError that `work` raises, or an empty text."""
    try:
        work()
    except UserError as error:
        said = str(error)
        assert said and len(said) < 3000
        assert all(line.isprintable() for line in said.splitlines()), said
        return said
    return ""


def header(path: Path) -> tuple[Any, bytes]:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def write_header(path: Path, head: Any, rest: bytes) -> None:
    text = json.dumps(head).encode("utf-8", "surrogatepass")
    path.write_bytes(len(text).to_bytes(8, "little") + text + rest)
