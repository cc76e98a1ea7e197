"""Memory and time of making one token of many variables, by the number of variables.

    python benchmarks/variables.py [--out DIRECTORY] [--rounds N]

Forward and backward of 64 patches of 8 x 8 pixels, width 256, 8 heads, groups of 8, on one thread. Memory is
what is kept for the backward pass, inputs and parameters left out, counted tensor by tensor. `torch` is
torch's MultiheadAttention with one query over the same tokens. Writes DIRECTORY/variables_memory.png and
prints a table.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
import typer
from torch import Tensor, nn

from ucf_vit.drawing.style import new_figure, render_png
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed
from ucf_vit.nn.init import init_weights
from ucf_vit.options import VariableOptions

NUMBERS = (8, 32, 128, 500)
TOKENS, DIM, PATCH_DIM, HEADS, GROUP = 64, 256, 64, 8, 8


def variables_of(number: int) -> VariableOptions:
    """Options of that many variables."""
    return VariableOptions(names=tuple(f"v{i}" for i in range(number)), group=GROUP)


class TorchAttention(nn.Module):
    """Torch's own attention: keys and values of every token."""

    def __init__(self, variables: int) -> None:
        super().__init__()
        self.embed = VariableEmbed(variables_of(variables), PATCH_DIM, DIM, HEADS, aggregate=False)
        self.query = nn.Parameter(torch.zeros(1, 1, DIM))
        self.attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)

    def forward(self, patches: Tensor, numbers: tuple[int, ...]) -> Tensor:
        """As `VariableEmbed`."""
        tokens = self.embed.tokens(patches.unflatten(2, (len(numbers), -1)), torch.tensor(numbers)).flatten(
            0, 1
        )
        return self.attention(self.query.expand(len(tokens), -1, -1), tokens, tokens, need_weights=False)[0]


def networks(variables: int) -> dict[str, nn.Module]:
    """The same task in four ways."""
    cross = variables_of(variables)
    linear = replace(cross, aggregation="hierarchical")
    options = {
        "cross": cross,
        "hierarchical, linear": linear,
        "hierarchical, attention": replace(linear, partial="attention"),
    }
    ours = {name: VariableEmbed(option, PATCH_DIM, DIM, HEADS) for name, option in options.items()}
    return {"torch": TorchAttention(variables), **ours}


def kept_bytes(network: nn.Module, patches: Tensor, numbers: tuple[int, ...]) -> int:
    """Bytes of the tensors that the backward pass waits for, each storage once."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), patches)}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(patches, numbers)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def seconds(network: nn.Module, patches: Tensor, numbers: tuple[int, ...], rounds: int) -> float:
    """CPU time of forward and backward, the least of several."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        network(patches, numbers).sum().backward()
        found.append(time.process_time() - start)
    return min(found)


def draw(memory: dict[str, list[float]], path: Path) -> None:
    """Memory by the number of variables, both logarithmic."""
    with new_figure(5.5, 3.4) as figure:
        axes = figure.subplots()
        for name, values in memory.items():
            axes.plot(NUMBERS, values, marker="o", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(NUMBERS, map(str, NUMBERS), minor=False)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="variables", ylabel="MiB kept for the backward pass")
        axes.legend()
        path.write_bytes(render_png(figure))


def main(out: Path = Path(), rounds: int = 5) -> None:
    """Print a line per number of variables and way."""
    torch.set_num_threads(1)
    memory: dict[str, list[float]] = {}
    print(f"{'variables':>9} {'':24} {'MiB':>7} {'ms':>7}")
    for variables in NUMBERS:
        numbers, patches = tuple(range(variables)), torch.randn(1, TOKENS, variables * PATCH_DIM)
        for name, network in networks(variables).items():
            init_weights(network)
            kept = kept_bytes(network, patches, numbers) / 2**20
            memory.setdefault(name, []).append(kept)
            print(
                f"{variables:9} {name:24} {kept:7.1f} {1e3 * seconds(network, patches, numbers, rounds):7.1f}"
            )
    out.mkdir(parents=True, exist_ok=True)
    draw(memory, out / "variables_memory.png")


if __name__ == "__main__":
    typer.run(main)
