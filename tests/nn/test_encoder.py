import pytest
import torch

from ucf_vit.core.errors import UserError
from ucf_vit.nn.encoder import Encoder
from ucf_vit.options import EncoderOptions


def build(**options) -> Encoder:
    return Encoder(EncoderOptions(embed_dim=12, num_heads=3, **options))


@pytest.fixture
def encoder():
    return build(depth=4, mlp_ratio=2.0, drop_path=0.3).eval()


def test_taps_are_outputs_of_blocks_in_the_order_asked_for(encoder):
    x = torch.randn(2, 5, 12)
    last, (third, first) = encoder(x, taps=[2, 0])
    torch.testing.assert_close(first, encoder.blocks[0](x))
    torch.testing.assert_close(third, encoder.blocks[2](encoder.blocks[1](first)))
    torch.testing.assert_close(last, encoder.norm(encoder.blocks[3](third)))


def test_a_tap_may_be_asked_for_twice_when_there_are_few_blocks(encoder):
    _, inner = encoder(torch.randn(1, 5, 12), taps=[1, 1, 0])
    assert inner[0] is inner[1]


@pytest.mark.parametrize("depth", [1, 4])
def test_the_first_tokens_alone(depth):
    encoder = build(depth=depth).double()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    everything, _ = encoder(x)
    first, inner = encoder(x, taps=[0], first=1)
    torch.testing.assert_close(first, everything[:, :1])
    assert inner[0].shape == (2, 1 if depth == 1 else 5, 12)


def test_stochastic_depth_rises_linearly(encoder):
    assert [round(block.drop_path.rate, 6) for block in encoder.blocks] == [0.0, 0.1, 0.2, 0.3]


def test_the_order_of_tokens_does_not_matter(encoder):
    x = torch.randn(1, 6, 12)
    order = torch.randperm(6)
    torch.testing.assert_close(encoder(x[:, order])[0], encoder(x)[0][:, order], rtol=1e-4, atol=1e-5)


@pytest.fixture
def padded():
    """Three and five valid tokens of six, the others enormous; behind a class token."""
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    valid = torch.tensor([3, 5])[:, None] > torch.arange(6)
    x[:, 1:][~valid] *= 1e4
    return x.requires_grad_(), valid


@pytest.mark.parametrize("attention", ["auto", "math", "efficient"])
@pytest.mark.parametrize("first", [None, 2])
def test_padding_changes_nothing(padded, first, attention):
    x, valid = padded
    encoder = build(depth=3, attention=attention).double()
    if attention == "efficient":  # not on the CPU: it must say so, not ignore the mask
        with pytest.raises(UserError, match="and a mask"):
            encoder(x, valid=valid)
        return
    end, (tap,) = encoder(x, taps=[1], first=first, valid=valid)
    for i, row in enumerate(valid):
        real = 1 + int(row.sum())
        alone, (tap_alone,) = encoder(x[i : i + 1, :real], taps=[1], first=first)
        torch.testing.assert_close(end[i : i + 1, :real][:, : alone.shape[1]], alone)
        torch.testing.assert_close(tap[i : i + 1, :real], tap_alone)


def test_padding_gets_no_gradient_and_gives_none(padded):
    x, valid = padded
    encoder = build(depth=3).double()
    seen = torch.cat([torch.ones(2, 1, dtype=torch.bool), valid], dim=1)
    encoder(x, valid=valid)[0][seen].square().sum().backward()
    expected = [parameter.grad.clone() for parameter in encoder.parameters()]
    assert not x.grad[~seen].any()
    encoder.zero_grad()
    for sample, real in zip(x.detach(), seen, strict=True):
        encoder(sample[real][None])[0].square().sum().backward()
    for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_all_valid_is_the_same_as_no_mask(encoder):
    x = torch.randn(2, 6, 12)
    everything = torch.ones(2, 6, dtype=torch.bool)
    torch.testing.assert_close(encoder(x, valid=everything)[0], encoder(x)[0])
