"""Milliseconds per training step beside timm's VisionTransformer and MONAI's UNETR of the same size.

    python benchmarks/models.py [--quick] [--rounds N] [--threads N]

A step is forward, loss, backward and AdamW, in float32 on the CPU and under bfloat16 autocast on a GPU
(`benchmarks/device.sh`). Ours and theirs start from the same weights and take turns, so that a busy machine
slows both; the ratio is the median over rounds of ours / theirs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import timm
import torch
import typer
from monai.networks import nets
from torch import Tensor, nn

from ucf_vit.models import UNETR, VIT
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.weights.pretrained import take


@dataclass(frozen=True)
class Case:
    """Two networks of one size with the same weights, and what they are trained on."""

    name: str
    ours: nn.Module
    theirs: nn.Module
    image: Tensor
    target: Tensor

    def to(self, device: torch.device) -> Case:
        """The same case on `device`."""
        image, target = self.image.to(device), self.target.to(device)
        return replace(
            self, ours=self.ours.to(device), theirs=self.theirs.to(device), image=image, target=target
        )


@dataclass(frozen=True)
class Result:
    """Medians over rounds: milliseconds per step, and ours / theirs."""

    name: str
    ours_ms: float
    theirs_ms: float
    ratio: float


def vit_case(side: int, patch: int, dim: int, depth: int, heads: int, batch: int) -> Case:
    theirs = timm.models.VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, num_classes=100
    )
    ours = VIT(
        InputOptions(in_channels=3, tile_size=(side, side), patch_size=patch),
        EncoderOptions(embed_dim=dim, depth=depth, num_heads=heads),
        num_classes=100,
    )
    take(ours, theirs.state_dict())
    name = f"VIT {side}² p{patch} {dim}x{depth} batch {batch}"
    return Case(name, ours, theirs, torch.randn(batch, 3, side, side), torch.randint(100, (batch,)))


def unetr_case(tile: tuple[int, ...], dim: int, heads: int, feature_size: int, batch: int) -> Case:
    theirs = nets.UNETR(
        in_channels=1,
        out_channels=4,
        img_size=tile,
        feature_size=feature_size,
        hidden_size=dim,
        mlp_dim=4 * dim,
        num_heads=heads,
        spatial_dims=len(tile),
    )
    ours = UNETR(
        InputOptions(in_channels=1, tile_size=tile),
        EncoderOptions(embed_dim=dim, num_heads=heads),
        num_classes=4,
        feature_size=feature_size,
    )
    take(ours, theirs.state_dict())
    name = f"UNETR {'x'.join(map(str, tile))} p16 {dim}x12 features {feature_size} batch {batch}"
    return Case(name, ours, theirs, torch.randn(batch, 1, *tile), torch.randint(4, (batch, *tile)))


def stepper(model: nn.Module, loss: Callable[[], Tensor], device: torch.device) -> Callable[[], float]:
    """A function that makes one training step on `device` and returns its seconds (CPU time on the CPU)."""
    gpu = device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=gpu)
    clock = time.perf_counter if gpu else time.process_time

    def step() -> float:
        start = clock()
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
            value = loss()
        value.backward()
        optimizer.step()
        if gpu:
            torch.cuda.synchronize()
        return clock() - start

    return step


def supervised(model: nn.Module, case: Case) -> Callable[[], float]:
    """One step of either network on the case's images and classes."""
    loss = nn.functional.cross_entropy
    return stepper(model, lambda: loss(model(case.image), case.target), case.image.device)


def compare(case: Case, rounds: int) -> Result:
    """Time both networks in turn, each going first in every other round, after one round to warm up."""
    ours, theirs = supervised(case.ours, case), supervised(case.theirs, case)
    pairs = []
    for i in range(rounds + 1):
        if i % 2:
            seconds = ours()
            pairs.append((seconds, theirs()))
        else:
            seconds = theirs()
            pairs.append((ours(), seconds))
    pairs = pairs[1:]
    return Result(
        case.name,
        ours_ms=1e3 * statistics.median(ours for ours, _ in pairs),
        theirs_ms=1e3 * statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(ours / theirs for ours, theirs in pairs),
    )


QUICK: tuple[Callable[[], Case], ...] = (
    lambda: vit_case(64, 16, 96, 4, 3, batch=2),
    lambda: unetr_case((32, 16, 16), 48, 3, 4, batch=1),
)
FULL: tuple[Callable[[], Case], ...] = (
    lambda: vit_case(256, 16, 384, 6, 6, batch=4),
    lambda: vit_case(224, 16, 768, 12, 12, batch=1),
    lambda: unetr_case((64, 64, 64), 384, 6, 16, batch=1),
    lambda: unetr_case((32, 32, 32), 192, 6, 16, batch=2),
    lambda: unetr_case((128, 128), 192, 6, 16, batch=2),
)


def main(quick: bool = False, rounds: int = 15, threads: int = 1) -> None:
    """Print one line per network."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    print(f"{'':52} {'ours ms':>9} {'theirs ms':>9} {'ratio':>6}")
    for build in QUICK if quick else FULL:
        result = compare(build(), 3 if quick else rounds)
        print(f"{result.name:52} {result.ours_ms:9.1f} {result.theirs_ms:9.1f} {result.ratio:6.2f}")


if __name__ == "__main__":
    typer.run(main)
