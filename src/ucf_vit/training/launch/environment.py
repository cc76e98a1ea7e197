"""Environment variables of launchers, with errors that name a missing one."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ucf_vit.core.errors import UserError

Environment = Mapping[str, str]

FIRST_PORT, PORTS = 12_000, 20_000
"""Range of ports for jobs: above those of services, below the ephemeral ports of Linux (from 32768)."""


def text(environment: Environment, name: str, launcher: str, advice: str = "") -> str:
    """Returns the value of a variable. Raises UserError if it is missing or empty."""
    value = environment.get(name, "")
    if not value:
        hint = f"; {advice}" if advice else ""
        raise UserError(f"started by {launcher}, but the variable {name} is not set{hint}")
    return value


def number(environment: Environment, name: str, launcher: str, advice: str = "") -> int:
    """Returns the whole number in a variable. Raises UserError if it is missing or something else."""
    value = text(environment, name, launcher, advice)
    if not (value.isascii() and value.isdigit()):
        raise UserError(f"started by {launcher}: {name}={value!r} should be a whole number")
    return int(value)


def port_of(job: str) -> int:
    """Returns a port for a job: the same in all of its processes, and another one for most other jobs."""
    return FIRST_PORT + zlib.crc32(job.encode()) % PORTS
