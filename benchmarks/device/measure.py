"""Tools of all parts: printing, waiting for a device, and counting operations."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def is_short() -> bool:
    """Whether a part was called with --short."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    return bool(parser.parse_args().short)


def device_of(short: bool) -> torch.device:
    """The GPU, or in short form the CPU."""
    return torch.device("cpu" if short else "cuda")


def say(name: str, **figures: Any) -> None:
    """Print one result; figures that are None, as memory without a GPU, are left out."""
    known = {key: value for key, value in figures.items() if value is not None}
    if known:
        print(json.dumps({"name": name, **known}), flush=True)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Wall time of one call, the median of `rounds`, after three to warm up."""
    times = []
    for _ in range(rounds + 3):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def operations(call: Callable[[], object]) -> int:
    """Floating point operations of matrix products, convolutions and attention in one call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def product_speed(side: int, rounds: int, device: torch.device) -> float:
    """Operations per second of a bfloat16 matrix product; of random values, since zeros are faster."""
    a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / seconds(lambda: a @ b, rounds, device)


def copy_speed(size: int, rounds: int, device: torch.device) -> float:
    """Bytes per second of a copy of `size` bytes, those read and those written."""
    data = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(data)
    return 2 * size / seconds(lambda: target.copy_(data), rounds, device)


def peak_memory(call: Callable[[], object], device: torch.device) -> float | None:
    """GiB that a GPU holds at most within a call, all that was there before included; None without one."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    call()
    wait(device)
    return float(torch.cuda.max_memory_allocated()) / 2**30
