"""Check of a run against its number of ranks."""

from __future__ import annotations

from ucf_vit.config.checks.parallel import uneven_shares, uneven_tokens
from ucf_vit.config.run import Run


def check_ranks(run: Run, world_size: int) -> dict[str, int]:
    """Returns the four sizes of `parallelism` on `world_size` ranks, with -1 replaced by the remaining ranks.

    Raises ConfigError if their product is not the number of ranks, if layers or tokens cannot be divided over
    them, or if `load_balancing.dataset_group_list`, if in use, names another number of data ranks.
    """
    try:
        degrees = run.parallelism.degrees(world_size)
    except ValueError as error:
        size = run.parallelism.simple_ddp_size
        raise run.error("parallelism.simple_ddp_size", str(error), size) from None
    tensor, seq = degrees["tensor_par_size"], degrees["seq_par_size"]
    if problems := [*uneven_shares(run, tensor), *uneven_tokens(run, seq, tensor)]:
        raise run.report(problems)
    ranks = degrees["simple_ddp_size"] * degrees["fsdp_size"]
    balancing = run.load_balancing
    if not balancing.auto_load_balancing and sum(balancing.groups()) != ranks:
        raise run.error(
            "load_balancing.dataset_group_list",
            f"these are {sum(balancing.groups())} data ranks, but the run has {ranks}; make the list "
            "anew, or set load_balancing.auto_load_balancing=true",
            balancing.dataset_group_list,
        )
    return degrees
