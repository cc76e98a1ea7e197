"""The patcher as a library: what it pads, and what it refuses."""

import pytest
import torch

from ucf_vit.core.errors import UserError
from ucf_vit.patching.adaptive import AdaptivePatcher, Forest


def test_missing_leaves_are_padded_and_invalid() -> None:
    patcher = AdaptivePatcher(tile_size=[32] * 3, patch_size=4, fixed_length=60)
    assert Forest((32, 32, 32)).reachable(60) == 57
    assert not patcher.all_valid
    patches = patcher(torch.rand(2, 1, 32, 32, 32))
    assert patches.values.shape == (2, 60, 1, 4, 4, 4)
    assert patches.valid is not None
    assert patches.valid.sum(dim=1).tolist() == [57, 57]
    assert patches.values[:, 57:].count_nonzero() == 0


@pytest.mark.parametrize("shape", [(0, 1, 16, 16), (1, 16, 16), (1, 1, 16, 32)])
def test_images_of_another_shape_and_no_images_are_refused(shape: tuple[int, ...]) -> None:
    patcher = AdaptivePatcher(tile_size=(16, 16), patch_size=4, fixed_length=10)
    with pytest.raises(UserError, match=r"not \[batch >= 1, channels, \*\[16, 16\]\]: check tile_size"):
        patcher(torch.zeros(shape))


def test_more_roots_than_tokens_are_refused() -> None:
    with pytest.raises(UserError, match="roots"):
        AdaptivePatcher(tile_size=(48, 80), patch_size=4, fixed_length=10)
