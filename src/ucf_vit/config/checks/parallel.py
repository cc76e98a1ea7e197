"""Checks of the section `parallelism`."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod

from ucf_vit.config.problems import Problem
from ucf_vit.config.run import Run
from ucf_vit.core.rounding import part_of
from ucf_vit.options.divisors import divisors
from ucf_vit.patching.masking import num_kept


def mode(run: Run) -> Iterator[Problem]:
    """Checks that mode simple has only data parallelism; the other keys need mode fsdp."""
    parallelism = run.parallelism
    if parallelism.mode == "fsdp":
        return
    for name, size in parallelism.sizes().items():
        if name != "simple_ddp_size" and size != 1:
            message = "mode simple divides only the data; set parallelism.mode=fsdp"
            yield Problem(("parallelism", name), message, size)
    if parallelism.cpu_offloading:
        message = "mode simple shards no weights; set parallelism.mode=fsdp"
        yield Problem(("parallelism", "cpu_offloading"), message, True)


def tensor(run: Run) -> Iterator[Problem]:
    """Checks that heads and hidden units can be divided over tensor ranks."""
    yield from uneven_shares(run, run.parallelism.tensor_par_size)


def uneven_shares(run: Run, size: int) -> Iterator[Problem]:
    """Yields counts that `size` tensor ranks do not divide; a size of -1 is checked once ranks are known."""
    if size <= 1:
        return
    counts = shared_counts(run)
    uneven = {name: count for name, count in counts.items() if count % size}
    if uneven:
        works = divisors(gcd(*counts.values()))
        near = [max(n for n in works if n < size), *[n for n in works if n > size][:1]]
        shown = ", ".join(f"{name} = {count}" for name, count in uneven.items())
        message = f"{size} tensor ranks can't share {shown} evenly; take {' or '.join(map(str, near))}"
        yield Problem(("parallelism", "tensor_par_size"), message, run.parallelism.tensor_par_size)


def sequence(run: Run) -> Iterator[Problem]:
    """Checks that each sequence rank has tokens, and that their attention suits the network."""
    sizes = run.parallelism
    yield from uneven_tokens(run, sizes.seq_par_size, sizes.tensor_par_size)


def uneven_tokens(run: Run, size: int, tensor: int) -> Iterator[Problem]:
    """Yields problems of tokens split over `size` ranks; sizes of -1 are checked once ranks are known."""
    if size <= 1:
        return
    parallelism = run.parallelism
    if run.network_facts.encoder and (least := fewest_tokens(run)) < size:
        message = f"more ranks than tokens: an encoder of this network has {least}; take {least} or less"
        yield Problem(("parallelism", "seq_par_size"), message, parallelism.seq_par_size)
    heads = {name: n for name, n in shared_counts(run).items() if name.endswith("num_heads")}
    few = {name: n // tensor for name, n in heads.items() if n // tensor < size} if tensor >= 1 else {}
    shown = ", ".join(f"{name} {heads[name]} / tensor_par_size {tensor} = {n}" for name, n in few.items())
    where = ("parallelism", "seq_par_attention")
    if parallelism.seq_par_attention == "ulysses" and few:
        message = f"needs a head for each of {size} ranks, but {shown}; take auto or ring"
        yield Problem(where, message, "ulysses")
    rings = parallelism.seq_par_attention == "ring" or (parallelism.seq_par_attention == "auto" and few)
    if rings and run.model.drop_rate > 0:
        cause = f" (auto becomes ring: {shown}, less than {size} ranks)" if few else ""
        message = f"attention in a ring has no dropout{cause}; set model.drop_rate=0, or "
        better = f"take seq_par_size {min(few.values())} or less" if few else "take ulysses"
        yield Problem(where, message + better, parallelism.seq_par_attention)


def fewest_tokens(run: Run) -> int:
    """Returns the smallest number of tokens per sample in an encoder during training."""
    net, tokens = run.model, prod(run.grid)
    trees = run.adaptive.adaptive_patching and run.adaptive.separate_channels
    if trees and run.variables.use_varemb:
        tokens = run.fixed_length  # of a batch with one variable
    if run.network_facts.masks_tokens and not net.linear_decoder:
        tokens = num_kept(tokens, net.mask_ratio)
    return tokens + (net.class_token and run.network_facts.class_token)


def shared_counts(run: Run) -> dict[str, int]:
    """Returns the counts that are divided over tensor ranks, by key."""
    net = run.model
    if not run.network_facts.encoder:
        return {}
    counts = {
        "model.num_heads": net.num_heads,
        "model.embed_dim x model.mlp_ratio": part_of(net.embed_dim, net.mlp_ratio),
    }
    if run.network_facts.token_decoder and not net.linear_decoder:
        counts["model.decoder_num_heads"] = net.decoder_num_heads
        hidden = part_of(net.decoder_embed_dim, net.mlp_ratio_decoder)
        counts["model.decoder_embed_dim x model.mlp_ratio_decoder"] = hidden
    return counts
