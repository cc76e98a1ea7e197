"""Detection of the launcher of this process (torchrun, Open MPI, MPICH, SLURM) and of its rank."""

from __future__ import annotations

import os
from collections.abc import Callable

from ucf_vit.core.errors import UserError
from ucf_vit.training.launch.environment import Environment, number, port_of, text
from ucf_vit.training.launch.rank import Place
from ucf_vit.training.launch.slurm import hosts, tasks_per_node

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 29_500


def find_place(environment: Environment = os.environ) -> Place:
    """Returns the rank of this process from its launcher's variables; without any, that of a single process.

    MASTER_ADDR and MASTER_PORT take precedence over derived values. Raises UserError naming a missing
    variable.
    """
    for read in READERS:
        place = read(environment)
        if place is not None:
            return _checked(place)
    return Place(0, 1, 0, 1, LOOPBACK[0], 0, "one process")


def world_size() -> int:
    """Returns the number of processes of this run."""
    return find_place().size


def from_torchrun(environment: Environment) -> Place | None:
    """Reads the variables of torchrun, also if set by hand; None without them.

    On one machine RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT suffice.
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    by = "torchrun"
    rank, size = number(environment, "RANK", by), number(environment, "WORLD_SIZE", by)
    if size == 1:
        environment = {"MASTER_ADDR": LOOPBACK[0], "MASTER_PORT": "0", **environment}
    address, port = text(environment, "MASTER_ADDR", by), number(environment, "MASTER_PORT", by)
    if address in LOOPBACK or size == 1:
        environment = {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size), **environment}
    local_rank, local_size = (
        number(environment, "LOCAL_RANK", by),
        number(environment, "LOCAL_WORLD_SIZE", by),
    )
    return Place(rank, size, local_rank, local_size, address, port, by)


def from_open_mpi(environment: Environment) -> Place | None:
    """Reads the variables of Open MPI's mpirun; None without them."""
    prefix = "OMPI_COMM_WORLD_"
    if f"{prefix}RANK" not in environment:
        return None
    rank, size, local_rank, local_size = (
        number(environment, prefix + name, "Open MPI")
        for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    )
    address, port = _meeting_point(environment, "Open MPI's mpirun", size == local_size, "PMIX_NAMESPACE")
    return Place(rank, size, local_rank, local_size, address, port, "Open MPI")


def from_mpich(environment: Environment) -> Place | None:
    """Reads the variables of the process management interface (MPICH, Intel MPI, Cray PALS); None without."""
    if "PMI_RANK" not in environment:
        return None
    by = "MPICH"
    rank, size = number(environment, "PMI_RANK", by), number(environment, "PMI_SIZE", by)
    names = [("MPI_LOCALRANKID", "MPI_LOCALNRANKS"), ("PMI_LOCAL_RANK", "PMI_LOCAL_SIZE")]
    rank_name, size_name = next((pair for pair in names if pair[0] in environment), names[0])
    local_rank, local_size = number(environment, rank_name, by), number(environment, size_name, by)
    address, port = _meeting_point(environment, "MPICH's mpirun", size == local_size, "PMI_JOBID")
    return Place(rank, size, local_rank, local_size, address, port, by)


def from_slurm(environment: Environment) -> Place | None:
    """Reads the variables of a task of srun; None without them.

    A batch script has a rank and a number of tasks too, but no step: it is a single process. Also None if
    another launcher used srun to reach the nodes, since then its own variables count.
    """
    if "SLURM_STEP_ID" not in environment or "SLURM_PROCID" not in environment:
        return None
    by = "srun"
    size = number(environment, "SLURM_STEP_NUM_TASKS", by)
    if environment.get("PMI_SIZE", str(size)) != str(size):
        return None
    node, written = (
        number(environment, "SLURM_NODEID", by),
        text(environment, "SLURM_STEP_TASKS_PER_NODE", by),
    )
    counts = tasks_per_node(written)
    if node >= len(counts):
        raise UserError(f"started by srun: SLURM_NODEID={node}, but SLURM_STEP_TASKS_PER_NODE={written!r}")
    address = environment.get("MASTER_ADDR") or hosts(_node_list(environment))[0]
    job = f"{text(environment, 'SLURM_JOB_ID', by)}.{environment['SLURM_STEP_ID']}"
    port = _port(environment, by, job)
    rank, local_rank = number(environment, "SLURM_PROCID", by), number(environment, "SLURM_LOCALID", by)
    return Place(rank, size, local_rank, counts[node], address, port, "SLURM")


Reader = Callable[[Environment], Place | None]

READERS: tuple[Reader, ...] = (from_torchrun, from_open_mpi, from_slurm, from_mpich)
"""Tried in this order, innermost launcher first: torchrun and mpirun may run in a task of srun."""


def _node_list(environment: Environment) -> str:
    """Returns the nodes of this step, or those of its job if the step does not name them."""
    return environment.get("SLURM_STEP_NODELIST") or text(environment, "SLURM_JOB_NODELIST", "srun")


def _meeting_point(environment: Environment, by: str, one_node: bool, job: str) -> tuple[str, int]:
    """Returns address and port of rank 0, which mpirun does not tell: by MASTER_ADDR or the batch system."""
    address = environment.get("MASTER_ADDR", "")
    if not address and one_node:
        address = LOOPBACK[0]
    if not address and "SLURM_JOB_NODELIST" in environment:
        address = hosts(environment["SLURM_JOB_NODELIST"])[0]
    if not address:
        advice = (
            "give the name of its first node: mpirun -x MASTER_ADDR=node1 (MPICH: -genv MASTER_ADDR node1)"
        )
        address = text(environment, "MASTER_ADDR", f"{by} on several nodes", advice)
    return address, _port(environment, by, environment.get(job, ""))


def _port(environment: Environment, by: str, job: str) -> int:
    if environment.get("MASTER_PORT"):
        return number(environment, "MASTER_PORT", by)
    return port_of(job) if job else DEFAULT_PORT


def _checked(place: Place) -> Place:
    good = 0 <= place.rank < place.size and 0 <= place.local_rank < place.local_size <= place.size
    if not good:
        raise UserError(
            f"started by {place.launcher}: rank {place.rank} of {place.size}, local rank {place.local_rank} "
            f"of {place.local_size} on this node is impossible; look at the variables it set (env | sort)"
        )
    return place
