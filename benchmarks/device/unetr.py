"""UNETR of 96³ beside MONAI's: a training step in bfloat16, and memory."""

from __future__ import annotations

from benchmarks.device.measure import device_of, is_short, peak_memory, say
from benchmarks.models import compare, supervised, unetr_case


def main() -> None:
    """Print milliseconds of both, their ratio, and what each holds at most."""
    short = is_short()
    device = device_of(short)
    made = unetr_case((32, 16, 16), 48, 3, 4, 1) if short else unetr_case((96,) * 3, 768, 12, 16, 4)
    case = made.to(device)
    found = compare(case, 3 if short else 15)
    say(case.name, ours_ms=found.ours_ms, monai_ms=found.theirs_ms, ratio=found.ratio)
    for name, model in (("ours", case.ours), ("MONAI", case.theirs)):
        kept = peak_memory(lambda: None, device)
        most = peak_memory(supervised(model, case), device)
        added = None if most is None or kept is None else most - kept
        say(f"{case.name}, {name}", step_gib=added)


if __name__ == "__main__":
    main()
