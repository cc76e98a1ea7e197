import runpy
from pathlib import Path

import cv2
import pytest
import torch

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "adaptive.py"


@pytest.fixture
def benchmark():
    threads = torch.get_num_threads(), cv2.getNumThreads()
    yield runpy.run_path(str(BENCHMARK))
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def test_the_short_form_prints_a_ratio_per_case(benchmark, capsys):
    """And finds no difference between the leaves and tokens of both sides."""
    benchmark["main"](quick=True)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["ours", "ms", "plain", "ms", "ratio"]
    assert [line.split(",")[0] for line in lines] == ["64^2 x 3", "16^3"]
    assert all(float(line.split()[-1]) > 0 for line in lines)


def test_a_line_of_the_scaling(benchmark):
    side, tokens, *figures = benchmark["scale"](128).split()
    assert (side, tokens) == ("128^2", "64")
    seconds, per_pixel, *steps = map(float, figures[:-2])
    assert per_pixel == pytest.approx(1e9 * seconds / 128**2, rel=0.3)
    assert len(steps) == 3 and min(steps) > 0
