"""Tests on the CPU and, where there is one, on a GPU."""

import pytest

GPU = pytest.param("cuda", marks=pytest.mark.gpu)
each_device = pytest.mark.parametrize("device", ["cpu", GPU])
