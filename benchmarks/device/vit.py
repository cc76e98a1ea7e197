"""VIT-L/16 beside timm: a training step in bfloat16, and its share of what a matrix product reaches."""

from __future__ import annotations

from benchmarks.device.measure import device_of, is_short, operations, peak_memory, product_speed, say
from benchmarks.models import compare, supervised, vit_case
from torch.nn.functional import cross_entropy


def main() -> None:
    """Print images per second, and the model FLOPs utilisation: operations needed / those of a product."""
    short = is_short()
    device = device_of(short)
    batch = 2 if short else 128
    made = vit_case(32, 16, 48, 2, 3, batch) if short else vit_case(224, 16, 1024, 24, 16, batch)
    case = made.to(device)
    best = product_speed(256 if short else 8192, 3 if short else 20, device)
    counted = operations(lambda: cross_entropy(case.ours(case.image), case.target).backward())
    found = compare(case, 3 if short else 15)
    for name, ms in (("ours", found.ours_ms), ("timm", found.theirs_ms)):
        say(f"{case.name}, {name}", ms=ms, images_per_s=1e3 * batch / ms)
    say(
        f"{case.name}, ours",
        mfu=1e3 * counted / found.ours_ms / best,
        tflop_per_step=counted / 1e12,
        ratio_to_timm=found.ratio,
    )
    say(f"{case.name}, ours", peak_gib=peak_memory(supervised(case.ours, case), device))


if __name__ == "__main__":
    main()
