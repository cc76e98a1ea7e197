"""The loader's benchmarks in their short form."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.deep


@pytest.fixture
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "data.py"
    spec = importlib.util.spec_from_file_location("benchmark_data", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # of MONAI's own
def test_every_reader_gives_all_tiles(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    rows = benchmark.tiles(benchmark.QUICK, workers=1)
    assert len(rows) == 8 and all(row.memory > 10 and row.first > 0 for row in rows)
    benchmark.show_tiles(rows)
    assert "MONAI CacheDataset" in capsys.readouterr().out


def test_the_first_batch_is_fast_anywhere_in_an_epoch(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.show_resume(benchmark.resume(benchmark.SHORT_EPOCH))
    assert "160 tiles, at 99%" in capsys.readouterr().out
