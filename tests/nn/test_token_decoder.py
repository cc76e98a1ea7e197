import pytest
import torch

from ucf_vit.nn.token_decoder import TokenDecoder


@pytest.mark.parametrize(
    "patch", [*((p,) * dims for p in (1, 2, 6, 8) for dims in (2, 3)), (4, 4, 2), (1, 6)]
)
@pytest.mark.parametrize("skips", [True, False])
def test_a_token_gives_the_pixels_of_its_own_patch_alone(patch, skips):
    torch.manual_seed(0)
    decoder = TokenDecoder(2, 12, 4, patch, 3, skips).double()
    tokens = torch.randn(2, 3, 12, dtype=torch.float64)
    patches = torch.randn(2, 3, 2, *patch, dtype=torch.float64)
    logits = decoder(tokens, patches)
    assert logits.shape == (2, 3, 3, *patch)
    other_tokens, other_patches = tokens.clone(), patches.clone()
    other_tokens[1, 2] += 1
    other_patches[0, 1] += 1
    changed = (decoder(other_tokens, other_patches) - logits).abs().flatten(2).amax(2) > 1e-12
    assert changed.nonzero().tolist() == ([[0, 1], [1, 2]] if skips else [[1, 2]])
    torch.testing.assert_close(decoder(tokens[1:, 1:2], patches[1:, 1:2]), logits[1:, 1:2])


def test_widths_double_from_pixels_to_tokens():
    decoder = TokenDecoder(1, 32, 4, (12, 12, 8), 2, True)
    assert [stage.norm.weight.numel() for stage in decoder.stages] == [16, 8, 4]
    assert [stage.up.kernel for stage in decoder.stages] == [(3, 3, 2), (2, 2, 2), (2, 2, 2)]


def test_a_pixel_is_seen_by_its_neighbours_within_the_patch():
    decoder = TokenDecoder(1, 8, 4, (8, 8), 2, True).double()
    token = torch.randn(1, 1, 8, dtype=torch.float64)
    patch = torch.randn(1, 1, 1, 8, 8, dtype=torch.float64)
    logits = decoder(token, patch)
    patch[..., 0, 4] += 1
    changed = ((decoder(token, patch) - logits).abs() > 1e-12).any(2)[0, 0]
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:3, 2:7] = True
    assert torch.equal(changed, expected)
