"""Adaptive patching of images on the GPU: images per second, and the share of the memory bandwidth.

Bytes counted are those that no way could do without: the image is read for the map of detail and for the
tokens, the map is written and read, the tokens are written.
"""

from __future__ import annotations

from benchmarks.adaptive import QUICK, Case
from benchmarks.device.measure import copy_speed, device_of, is_short, say, seconds


def main() -> None:
    """Print a line for the whole way, and one for tokens alone, whose trees loader processes have grown."""
    short = is_short()
    device = device_of(short)
    case = QUICK[0] if short else Case(2, 1024, 4096, batch=16)
    rounds = 3 if short else 50
    image, patcher = case.images().to(device), case.patcher("gradient")
    patches = patcher(image)
    copied = copy_speed(image.nbytes, rounds, device)
    cut = image.nbytes + patches.values.nbytes
    whole = cut + image.nbytes + 2 * 4 * image[:, 0].numel()
    ways = {"detail, trees and tokens": (lambda: patcher(image), whole)}
    ways["tokens alone"] = (lambda: patcher.cut(image, patches.leaves), cut)
    for name, (call, least) in ways.items():
        passed = seconds(call, rounds, device)
        say(
            f"{case.name}, {name}",
            images_per_s=case.batch / passed,
            gb_per_s=least / passed / 1e9,
            share_of_bandwidth=least / passed / copied,
        )


if __name__ == "__main__":
    main()
