"""Section `parallelism`: division of the work over ranks."""

from __future__ import annotations

from math import prod
from typing import Literal

from ucf_vit.config.sections.fields import Number, Section, Whole, key

SIZES = ("simple_ddp_size", "fsdp_size", "seq_par_size", "tensor_par_size")


class Parallelism(Section):
    """Division of the work. The product of the sizes is the number of ranks; -1 is the remaining ranks."""

    mode: Literal["simple", "fsdp"] | None = key(
        None,
        "simple: every rank holds the whole model (DDP); fsdp: weights sharded, layers and tokens split.",
        derived="fsdp if a size other than simple_ddp_size is not 1, or with cpu_offloading; else simple",
    )
    simple_ddp_size: Whole = key(
        -1, "Groups of ranks; each holds a copy of the model and sees different data.", "ranks"
    )
    fsdp_size: Whole = key(1, "Ranks over which weights are sharded; they see different data.", "ranks")
    tensor_par_size: Whole = key(1, "Ranks over which each layer is split; they see the same data.", "ranks")
    seq_par_size: Whole = key(
        1,
        "Ranks over which the tokens of each sample are split within encoders, for sequences that do not fit "
        "one device; they see the same data, and weights are sharded over them too.",
        "ranks",
    )
    seq_par_attention: Literal["auto", "ulysses", "ring"] = key(
        "auto",
        "Attention over tokens that are split over ranks: ulysses: each rank has all tokens of some heads, "
        "and there must be a head for each rank (num_heads / tensor_par_size); ring: keys and values are "
        "passed on from rank to rank, without dropout; auto: ulysses if there are enough heads, else ring.",
    )
    cpu_offloading: bool = key(
        False, "Mode fsdp: keep sharded weights, gradients and moments in host memory between uses."
    )
    reshard_after_forward: bool = key(
        True,
        "Mode fsdp: free the gathered weights of a block after its forward pass and gather them again for "
        "the backward pass; false takes more memory and a third less communication of weights.",
    )
    reduce_type: Literal["float32", "bfloat16"] = key(
        "float32", "Mode fsdp: type in which the gradients of sharded weights are summed."
    )

    timeout: Number = key(
        600.0,
        "How long ranks wait for one that does not answer before the run ends with its name and last step.",
        "seconds",
        ge=1,
    )

    def sizes(self) -> dict[str, int]:
        """Returns the four sizes by name, as given (-1: the remaining ranks)."""
        return {name: getattr(self, name) for name in SIZES}

    def needs_fsdp(self) -> str:
        """Returns the first key that needs mode fsdp, empty if there is none."""
        split = [name for name in SIZES[1:] if getattr(self, name) != 1]
        return [*split, *(["cpu_offloading"] if self.cpu_offloading else []), ""][0]

    def degrees(self, world_size: int) -> dict[str, int]:
        """Returns the four sizes on `world_size` ranks, with -1 replaced by the remaining ranks.

        Raises ValueError with the reason if their product is not `world_size`.
        """
        sizes = self.sizes()
        fixed = prod(size for size in sizes.values() if size != -1)
        free = [name for name, size in sizes.items() if size == -1]
        written = " x ".join(f"{name} {size}" for name, size in sizes.items() if size != -1)
        if free and world_size % fixed:
            raise ValueError(
                f"{world_size} ranks do not divide by {fixed} ({written}); start a multiple of {fixed} ranks"
            )
        if not free and fixed != world_size:
            raise ValueError(
                f"the sizes make {fixed} ranks ({written}), but this run has {world_size}; start {fixed} "
                "ranks (ucf-vit train --nproc, torchrun), or set parallelism.simple_ddp_size=-1 (all others)"
            )
        return {name: world_size // fixed if size == -1 else size for name, size in sizes.items()}
