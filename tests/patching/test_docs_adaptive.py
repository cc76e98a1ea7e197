"""The examples in the documentation of adaptive patching work as they stand."""

import re
from pathlib import Path
from typing import Any

import torch

from ucf_vit.patching.adaptive import AdaptivePatcher

TEXT = (Path(__file__).parents[2] / "docs/adaptive_patching.md").read_text()
DETAIL, LIBRARY = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_documented_detail_function(tmp_path: Path) -> None:
    (tmp_path / "my_detail.py").write_text(DETAIL)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for separate, tokens in ((False, 22), (True, 66)):
        patcher = AdaptivePatcher(
            tile_size=(32, 32),
            patch_size=4,
            fixed_length=22,
            detail=f"{tmp_path / 'my_detail.py'}:unlike_around",
            separate_channels=separate,
        )
        patches = patcher(image, torch.arange(2))
        assert patches.values.shape[:2] == (2, tokens)
        assert torch.equal(patcher.grow(image * 1024).start, patches.leaves.start)


def test_documented_library_example() -> None:
    known: dict[str, Any] = {}
    exec(LIBRARY.replace("256", "64"), known)
    assert known["patches"].values.shape == (8, 64, 3, 16, 16)
    assert known["image"].shape == (8, 3, 64, 64)
    assert known["logits"].shape == (8, 10)
