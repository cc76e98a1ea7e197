"""Checks of the section `parallelism`."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from ucf_vit.config.check_model import divisors
from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run


def mode(run: Run) -> Iterator[Problem]:
    """Mode simple knows data parallelism alone; what only mode fsdp does is asked of mode fsdp alone."""
    parallelism = run.parallelism
    if parallelism.mode == "fsdp":
        if run.trainer.data_type == "float16":
            message = "mode fsdp has no loss scaling; take bfloat16, or parallelism.mode=simple"
            yield Problem(("trainer", "data_type"), message, "float16")
        return
    for name, size in parallelism.sizes().items():
        if name != "simple_ddp_size" and size != 1:
            message = "mode simple spreads the data alone; set parallelism.mode=fsdp"
            yield Problem(("parallelism", name), message, size)
    if parallelism.cpu_offloading:
        message = "mode simple shards no weights; set parallelism.mode=fsdp"
        yield Problem(("parallelism", "cpu_offloading"), message, True)


def tensor(run: Run) -> Iterator[Problem]:
    """Tensor ranks share out heads and hidden units evenly."""
    yield from shares(run, run.parallelism.tensor_par_size)


def shares(run: Run, size: int) -> Iterator[Problem]:
    """What `size` tensor ranks can't share evenly; -1 is judged when the number of ranks is known."""
    if size <= 1:
        return
    counts = shared_counts(run)
    uneven = {name: count for name, count in counts.items() if count % size}
    if uneven:
        works = divisors(gcd(*counts.values()))
        near = [max(n for n in works if n < size), *[n for n in works if n > size][:1]]
        what = ", ".join(f"{name} = {count}" for name, count in uneven.items())
        message = f"{size} tensor ranks can't share {what} evenly; take {' or '.join(map(str, near))}"
        yield Problem(("parallelism", "tensor_par_size"), message, run.parallelism.tensor_par_size)


def shared_counts(run: Run) -> dict[str, int]:
    """What tensor ranks share, by the keys that it comes from."""
    net = run.model
    counts = {
        "model.num_heads": net.num_heads,
        "model.embed_dim x model.mlp_ratio": int(net.embed_dim * net.mlp_ratio),
    }
    if run.task in ("masked", "diffusion") and not net.linear_decoder:
        counts["model.decoder_num_heads"] = net.decoder_num_heads
        hidden = int(net.decoder_embed_dim * net.mlp_ratio_decoder)
        counts["model.decoder_embed_dim x model.mlp_ratio_decoder"] = hidden
    return counts
