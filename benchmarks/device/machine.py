"""The GPU: its name, and what matrix products and copies reach at most."""

from __future__ import annotations

import platform

import torch
from benchmarks.device.measure import copy_speed, device_of, is_short, product_speed, say


def main() -> None:
    """Print the ceilings that other parts are compared with."""
    short = is_short()
    device = device_of(short)
    name = platform.machine() if short else torch.cuda.get_device_name()
    say(name, torch=torch.__version__, python=platform.python_version())
    side, size, rounds = (256, 2**20, 3) if short else (8192, 2**32, 30)
    say(f"bf16 product of {side}^3", tflops=product_speed(side, rounds, device) / 1e12)
    say(f"copy of {size / 2**20:.0f} MiB", gb_per_s=copy_speed(size, rounds, device) / 1e9)


if __name__ == "__main__":
    main()
