"""A class of one pixel in fifty is learned beside a common one.

With a head that starts near zero, soft Dice and cross-entropy first agree on predicting the rarest class
nowhere, and a network did not recover from that.
"""

import torch

from ucf_vit.data.batch import Batch
from ucf_vit.models import UNETR
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.tasks import Segmentation


def squares(seed: int) -> Batch:
    make = torch.Generator().manual_seed(seed)
    label = torch.zeros(4, 16, 16, dtype=torch.int64)
    for sample in label:
        x, y = torch.randint(0, 8, (2,), generator=make).tolist()
        sample[x : x + 8, y : y + 8] = 1
        sample[x + 3 : x + 5, y + 3 : y + 5] = 2
    image = label[:, None] * 0.5 + 0.3 * torch.randn(4, 1, 16, 16, generator=make)
    return Batch(image, label, ("v",), "squares", ("",) * 4, torch.arange(4))


def test_a_rare_class_is_not_forgotten() -> None:
    torch.manual_seed(0)
    tile = InputOptions(in_channels=1, tile_size=(16, 16), patch_size=4)
    encoder = EncoderOptions(embed_dim=16, depth=2, num_heads=2)
    task = Segmentation(UNETR(tile, encoder, num_classes=3, feature_size=8), 3, (16, 16))
    assert task.model(squares(0).image).std() > 0.2
    optimizer = torch.optim.AdamW(task.parameters(), lr=2e-3)
    for step in range(80):
        task(squares(step)).value.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        metrics = task.metrics(task.eval().evaluate(squares(1000)))
    assert metrics["dice_2"] > 0.2
