"""MAE with the encoder of VIT-L/16: a training step in bfloat16, and its share of a matrix product."""

from __future__ import annotations

import torch
from benchmarks.device.measure import (
    device_of,
    is_short,
    operations,
    peak_memory,
    product_speed,
    say,
    seconds,
)
from benchmarks.models import stepper

from ucf_vit.data.batch import Batch
from ucf_vit.models import MAE
from ucf_vit.options import DecoderOptions, EncoderOptions, InputOptions
from ucf_vit.tasks.masked import MaskedAutoencoding


def main() -> None:
    """Print milliseconds, images per second, MFU and memory."""
    short = is_short()
    device = device_of(short)
    side, width, depth, heads, batch = (32, 48, 2, 3, 2) if short else (224, 1024, 24, 16, 256)
    decoder = DecoderOptions(embed_dim=32, depth=1, num_heads=2) if short else DecoderOptions()
    encoder = EncoderOptions(embed_dim=width, depth=depth, num_heads=heads)
    model = MAE(InputOptions(in_channels=3, tile_size=(side, side)), encoder, decoder)
    task = MaskedAutoencoding(model).to(device)
    image = torch.randn(batch, 3, side, side)
    given = Batch(image, None, ("r", "g", "b"), "random", ("",) * batch, torch.arange(batch))
    drawn = task.draw(given).to(device)
    best = product_speed(256 if short else 8192, 3 if short else 20, device)
    counted = operations(lambda: task(drawn).value.backward())
    step = stepper(task, lambda: task(drawn).value, device)
    passed = seconds(step, 3 if short else 15, device)
    say(
        f"MAE {side}² p16 {width}x{depth} batch {batch}",
        ms=1e3 * passed,
        images_per_s=batch / passed,
        mfu=counted / passed / best,
        peak_gib=peak_memory(step, device),
    )


if __name__ == "__main__":
    main()
