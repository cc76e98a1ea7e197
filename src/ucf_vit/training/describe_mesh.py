"""Text that describes the mesh of a run: groups of ranks, their nodes and their traffic."""

from __future__ import annotations

from rich.filesize import decimal
from torch import nn

from ucf_vit.config import Run
from ucf_vit.config.checks.ranks import check_ranks
from ucf_vit.core.errors import UserError
from ucf_vit.models import MAE
from ucf_vit.parallel.ranks.mesh import AXES, MeshLayout, layout_from_degrees
from ucf_vit.parallel.traffic import ElementSizes, bytes_per_step
from ucf_vit.patching.masking import num_kept
from ucf_vit.training.build import build_network

_SHOWN = 4


def describe_mesh(run: Run, ranks: int, per_node: int) -> str:
    """Returns the groups of `ranks` processes, `per_node` on each node, with the bytes per step of each.

    Raises ConfigError if the parallel sizes do not give that number of ranks, UserError if a node would be
    partly filled.
    """
    layout = layout_from_degrees(check_ranks(run, ranks))
    if ranks > per_node and ranks % per_node:
        raise UserError(f"--gpus {ranks} does not divide by --gpus-per-node {per_node}; fill every node")
    model = build_network(run)
    half = 4 if run.trainer.data_type == "float32" else 2
    sizes = ElementSizes(half, half, 2 if run.parallelism.reduce_type == "bfloat16" else 4)
    reshard = run.parallelism.reshard_after_forward
    tokens = encoder_lengths(model)
    if not tokens and layout.tensor * layout.seq > 1:
        raise UserError(f"network {run.network} does not say how many tokens tensor and seq ranks exchange")
    traffic = bytes_per_step(
        model,
        tokens,
        run.data.batch_size,
        layout,
        sizes,
        reshard,
        run.parallelism.seq_par_attention,
    )
    nodes = -(-ranks // per_node)
    where = f"{ranks} ranks on {nodes} node{'s' * (nodes > 1)}"
    shape = " x ".join(f"{axis} {size}" for axis, size in zip(AXES, layout.shape, strict=True) if size > 1)
    lines = [f"{where}: {shape or 'ddp 1'}; {layout.ddp * layout.fsdp} data ranks"]
    lines += [
        _line(layout, name, per_node, size) for name, size in traffic.items() if getattr(layout, name) > 1
    ]
    return "\n".join(lines)


def encoder_lengths(model: nn.Module) -> dict[str, int]:
    """Returns the number of tokens per training sample in each Encoder of a network, class token included.

    Empty for a user's network without an `input` like those of this package.
    """
    if not hasattr(getattr(model, "input", None), "num_tokens"):
        return {}
    extra = int(getattr(model, "class_token", None) is not None)
    tokens = model.input.num_tokens + extra
    if not isinstance(model, MAE):
        return {"encoder": tokens}
    if model.mask_token is not None:
        return {"encoder": tokens}
    visible = num_kept(model.num_tokens, model.mask_ratio)
    return {"encoder": visible + extra, "decoder.encoder": tokens}


def _line(layout: MeshLayout, name: str, per_node: int, traffic: int) -> str:
    groups = layout.groups(*(("fsdp", "seq") if name == "shard" else (name,)))
    crossing = sum(len({rank // per_node for rank in group}) > 1 for group in groups)
    where = "within nodes" if not crossing else f"{crossing} of {len(groups)} across nodes"
    count = f"{len(groups)} group{'s' * (len(groups) > 1)} of {len(groups[0])}"
    shown = " ".join(_ranks(group) for group in groups[:_SHOWN]) + " ..." * (len(groups) > _SHOWN)
    return f"{name:7}{count:16} {where:26} {decimal(traffic):>9} per step   {shown}"


def _ranks(group: list[int]) -> str:
    if len(group) > _SHOWN:
        return f"[{group[0]} {group[1]} ... {group[-1]}]"
    return "[" + " ".join(map(str, group)) + "]"
