import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ucf_vit.nn.channels_last import Conv, _convolve_halves, _has_slow_kernel, instance_norm

shapes = st.tuples(st.integers(1, 3), st.lists(st.integers(1, 6), min_size=2, max_size=3), st.integers(1, 5))


@given(shapes)
def test_instance_norm_is_that_of_torch(shape):
    batch, space, channels = shape
    x = torch.randn(batch, *space, channels, dtype=torch.float64)
    expected = torch.zeros_like(x)
    if x[0, ..., 0].numel() > 1:
        expected = F.instance_norm(x.movedim(-1, 1), eps=1e-5).movedim(1, -1)
    torch.testing.assert_close(instance_norm(x), expected)


def test_instance_norm_has_the_right_gradient():
    x = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(instance_norm, (x,))


def test_instance_norm_stays_accurate_far_from_zero():
    x = torch.randn(1, 32, 32, 32, 4, dtype=torch.float64) + 100
    error = instance_norm(x.float()).double() - instance_norm(x)
    assert error.abs().max() < 1e-4


def test_instance_norm_takes_and_gives_bfloat16_with_float32_statistics():
    x = (torch.randn(1, 16, 16, 16, 2) * 3 + 5).bfloat16().requires_grad_()
    y = instance_norm(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16
    torch.testing.assert_close(y, instance_norm(x.detach().float()).bfloat16())


@given(space=st.lists(st.integers(1, 7), min_size=3, max_size=3), channels=st.integers(1, 3))
def test_one_volume_convolved_as_two_halves(space, channels):
    x = torch.randn(1, channels, *space, dtype=torch.float64)
    weight = torch.randn(2, channels, 3, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(_convolve_halves(x, weight), F.conv3d(x, weight, padding=1))


@pytest.mark.parametrize("shape", [(1, 8, 6, 4, 3), (2, 8, 6, 4, 3), (1, 40, 40, 8, 3), (2, 8, 6, 3)])
def test_convolution_is_that_of_torch(shape):
    x = torch.randn(*shape)
    conv = Conv(len(shape) - 2, shape[-1], 5)
    expected = conv.conv(x.movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-5)


def test_only_single_small_volumes_on_the_cpu_take_the_detour():
    assert _has_slow_kernel(torch.empty(1, 16, 16, 16, 16))
    assert not _has_slow_kernel(torch.empty(2, 16, 16, 16, 16))
    assert not _has_slow_kernel(torch.empty(1, 16, 64, 64, 64))
    assert not _has_slow_kernel(torch.empty(1, 16, 16, 16))
    assert not _has_slow_kernel(torch.empty(1, 16, 16, 16, 16, device="meta"))
