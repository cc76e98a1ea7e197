"""How far the events of a run are delivered, kept on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ucf_vit.core.files.atomic_files import write_atomic

FILE = "delivered.json"


@dataclass(frozen=True)
class Progress:
    """Delivered part of the spool with `token`, to an experiment of a store.

    Everything before `offset` has arrived. Up to `sending`, events may have arrived: they were sent when the
    process or the connection ended, before the answer. `run_id` is empty as long as the run has none.
    """

    token: str
    store: str
    experiment: str
    run_id: str = ""
    offset: int = 0
    sending: int = 0

    @classmethod
    def read(cls, folder: Path, token: str, store: str, experiment: str) -> Progress:
        """Returns the progress in `folder`; a new one if that is of another spool, store or experiment."""
        new = cls(token, store, experiment)
        try:
            content = json.loads((folder / FILE).read_bytes())
        except (OSError, ValueError):
            return new
        types = {field.name: str(field.type) for field in fields(cls)}
        if not isinstance(content, dict) or {n: type(v).__name__ for n, v in content.items()} != types:
            return new
        found = cls(**content)
        return found if (found.token, found.store, found.experiment) == (token, store, experiment) else new

    def write(self, folder: Path) -> None:
        """Writes the progress to `folder`, complete or not at all; not if the run was removed."""
        if folder.is_dir():
            write_atomic(folder / FILE, json.dumps(asdict(self), indent=1) + "\n")

    def without_run(self) -> Progress:
        """Returns the progress if the run in the store is lost: nothing has arrived."""
        return replace(self, run_id="", offset=0, sending=0)
