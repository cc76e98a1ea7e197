"""The benchmark of resampling in its short form."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ucf_vit.data.geometry.geometry import Geometry
from ucf_vit.data.geometry.options import GridOptions
from ucf_vit.data.geometry.regrid import regrid

pytestmark = pytest.mark.deep


@pytest.mark.filterwarnings("ignore")  # of MONAI's own
def test_all_do_the_same_work() -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "geometry.py"
    spec = importlib.util.spec_from_file_location("benchmark_geometry", path)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = benchmark
    spec.loader.exec_module(benchmark)
    arrays = benchmark.volume(24)
    grid = regrid(Geometry((24,) * 3, np.eye(4)), GridOptions(spacing=(0.8,) * 3))
    image, label = benchmark.READERS["ucf_vit"](arrays, grid)
    inner = (slice(2, -2),) * 3
    for name, work in benchmark.READERS.items():
        other, other_label = work(arrays, grid)
        if name == "scipy":
            np.testing.assert_allclose(other[inner], image[inner], atol=0.1)
            assert np.mean(other_label == label) > 0.9
        assert other.ndim == 3 and np.isfinite(other).all()
    assert len(benchmark.volumes(16)) == 8
    assert all(first > 0 and second > 0 for _, first, second in benchmark.tiles(16, 2))
