"""Statistics of a volume are found once, by one process, and serve all its tiles."""

from pathlib import Path

import numpy as np
import pytest
from nifti_files import save_nifti

from ucf_vit.data.build import build_dataset
from ucf_vit.data.facts import FactsBook
from ucf_vit.data.scratch import Scratch
from ucf_vit.data.sources import BasicCT
from ucf_vit.data.stream import Stream


class Counting(BasicCT):
    """Writes down when a whole volume is read."""

    def read(self, item, region=None, channels=None):
        if region is None:
            with (Path(self.root) / "log").open("a") as log:
                log.write(f"{item.key}\n")
        return super().read(item, region, channels)


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_volumes_are_read_once_for_all_tiles_and_processes(ct, scratch, workers):
    data = build_dataset("ct", "basic_ct", ct, tile_size=(4, 4, 4), buffer_size=100, scratch=scratch)
    object.__setattr__(data, "source", Counting(ct, scratch=scratch))
    object.__setattr__(data, "origin", None)
    stream = Stream([data], batch_size=4, seed=0, num_workers=workers)
    for _ in range(2):
        list(stream)
    assert sorted((ct / "log").read_text().split()) == [f"v{i}" for i in range(6)]


def test_without_scratch_files_they_are_kept_in_memory(ct, tmp_path):
    scratch = Scratch(tmp_path / "s", limit=0)
    data = build_dataset("ct", "basic_ct", ct, tile_size=(4, 4, 4), scratch=scratch)
    book = FactsBook(data)
    assert book.of(1, (0,)) is book.of(1, (0,))
    assert not list((tmp_path / "s").glob("*.npz"))


def test_a_volume_that_changed_is_measured_anew(tmp_path, scratch):
    for top in (7, 90):
        volume = np.zeros((8, 8, 8), np.float32)
        volume[0, 0, 0] = top
        save_nifti(tmp_path / "ct" / "imagesTr" / "a.nii", volume)
        data = build_dataset(
            "ct", "basic_ct", tmp_path / "ct", tile_size=(4, 4, 4), labels=False, scratch=scratch
        )
        assert FactsBook(data).of(0, (0,)).affine.divisor.tolist() == [top]


def test_normalisations_of_one_volume_do_not_mix(ct, scratch):
    divisors = []
    for kind in ("minmax", "zscore", "none"):
        data = build_dataset(
            "ct", "basic_ct", ct, tile_size=(4, 4, 4), normalization={"kind": kind}, scratch=scratch
        )
        divisors.append(FactsBook(data).of(0, (0,)).affine.divisor.item())
    assert len(set(divisors)) == 3
