import importlib.util

import pytest
import torch

from devices import GPU
from ucf_vit.core.errors import UserError
from ucf_vit.nn.attention_backends import BACKENDS, attend

DEVICES = ["cpu", GPU]
DEVICES += ["mps"] * torch.backends.mps.is_available()


def reference(q, k, v, mask=None):
    logits = (q @ k.transpose(-2, -1)).float() / q.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    return (logits.softmax(-1) @ v.float()).to(q.dtype)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch tells why a kernel cannot serve
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_every_backend_is_right_or_says_why_it_cannot(backend, device, dtype, masked):
    q, k, v = torch.randn(3, 2, 4, 16, 32, device=device, dtype=dtype)
    mask = (torch.arange(16, device=device) < 11).view(1, 1, 1, 16) if masked else None
    try:
        result = attend(q, k, v, mask, backend=backend)
    except UserError as error:
        assert backend not in ("auto", "math")
        assert backend in str(error) or "xformers" in str(error)
        return
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(result, reference(q, k, v, mask), rtol=0, atol=tolerance)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("backend", ["flash", "math"])
def test_kernels_of_the_cpu_agree_in_gradient(backend):
    leaves = torch.randn(3, 1, 2, 9, 8, requires_grad=True)
    grads = [
        torch.autograd.grad(attend(*leaves, backend=name).square().sum(), leaves)[0]
        for name in ("auto", backend)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_refusal_names_backend_device_dtype_and_the_way_out():
    q = torch.randn(1, 2, 4, 8)
    with pytest.raises(UserError, match=r"'cudnn' cannot serve torch.float32 on cpu .* Use attention 'auto'"):
        attend(q, q, q, backend="cudnn")


@pytest.mark.skipif(importlib.util.find_spec("xformers") is not None, reason="xformers is installed")
@pytest.mark.parametrize("backend", ["xformers", "xformers_ck"])
def test_a_missing_package_is_named_with_its_extra(backend):
    q = torch.randn(1, 2, 4, 8)
    with pytest.raises(UserError, match=r"pip install ucf-vit\[xformers\]"):
        attend(q, q, q, backend=backend)


def test_a_float_mask_is_added_to_the_logits():
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    seen = torch.rand(5, 5) < 0.7
    seen[:, 0] = True
    bias = torch.zeros(5, 5).masked_fill(~seen, float("-inf"))
    torch.testing.assert_close(attend(q, k, v, bias), attend(q, k, v, seen))


def test_other_numbers_of_keys_than_queries():
    q, k, v = torch.randn(1, 2, 3, 8), torch.randn(1, 2, 7, 8), torch.randn(1, 2, 7, 8)
    torch.testing.assert_close(attend(q, k, v), reference(q, k, v))
