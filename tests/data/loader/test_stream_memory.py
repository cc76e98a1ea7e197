"""The shuffle buffer holds no volumes, neither whole nor as views of tiles."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

pytestmark = pytest.mark.deep

SCRIPT = """
import sys
import ucf_vit.data.loader.stream as stream
from ucf_vit.data.build_dataset import build_dataset
from ucf_vit.data.storage.scratch import Scratch

def anonymous():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("Anonymous"))

for root in sys.argv[2:]:
    data = build_dataset("ct", "basic_ct", root, tile_size=(16, 16, 16), buffer_size=2000, labels=False,
                         scratch=Scratch(sys.argv[1]))
    batches = stream.Stream([data], batch_size=2, seed=0)
    first = next(iter(batches))
    before, most, count = anonymous(), 0, 0
    for batch in batches:
        count += 1
        if count % 50 == 0:
            most = max(most, anonymous())
    print(count, most - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_buffer(tmp_path):
    volume = np.zeros((96, 96, 96), np.float32)
    for suffix in (".nii", ".nii.gz"):
        for i in range(16):  # 54 MiB of volumes, all of them in the buffer at once
            volume[0, 0, 0] = i
            save_nifti(tmp_path / suffix[1:] / "imagesTr" / f"v{i}{suffix}", volume)
    roots = [str(tmp_path / name) for name in ("nii", "nii.gz")]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "scratch"), *roots]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        count, grown = map(int, line.split())
        assert count == 16 * 216 // 2 - 1
        assert grown < 10
