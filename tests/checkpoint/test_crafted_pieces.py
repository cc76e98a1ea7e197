"""Where the pieces of a tensor lie, as files say it, is not believed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from crafted import header, write_header
from ucf_vit import checkpoint
from ucf_vit.checkpoint.shards import Shards
from ucf_vit.core.errors import CheckpointError

FILE = "model.safetensors"


@pytest.mark.parametrize(
    ("places_of", "said"),
    [
        ({"w": {"saved_offsets": [1], "shape": [4]}}, "is not a readable piece of a tensor"),
        ({"w": {"saved_offsets": [0], "shape": [2**50]}}, "is incomplete, or has overlapping pieces"),
        ({"w": {"saved_offsets": [0, 0], "shape": [2, 2]}}, "is not a readable piece of a tensor"),
        ({"w": {"saved_offsets": [-1], "shape": [3]}}, "has no valid offsets of its pieces"),
        ({"w": {"saved_offsets": [0.0], "shape": [4]}}, "has no valid offsets of its pieces"),
        ([], "has no valid offsets of its pieces"),
    ],
)
def test_a_piece_lies_in_its_tensor(tmp_path: Path, places_of: Any, said: str) -> None:
    checkpoint.save(tmp_path / "one", {"w": torch.arange(4.0)}, {}, {"step": 1})
    path = tmp_path / "one" / FILE
    head, rest = header(path)
    head["__metadata__"]["DCP_SHARDING_INFO"] = json.dumps(places_of)
    write_header(path, head, rest)
    with pytest.raises(CheckpointError, match=said):
        Shards([path])


def test_overlapping_pieces_do_not_hide_missing_ones(tmp_path: Path) -> None:
    paths = []
    for number, first in enumerate((0, 1)):
        checkpoint.save(tmp_path / str(number), {"w": torch.ones(2, 3)}, {}, {"step": 1})
        paths.append(tmp_path / str(number) / FILE)
        head, rest = header(paths[-1])
        place = {"w": {"saved_offsets": [first, 0], "shape": [4, 3]}}
        head["__metadata__"]["DCP_SHARDING_INFO"] = json.dumps(place)
        write_header(paths[-1], head, rest)
    with pytest.raises(CheckpointError, match="w is incomplete, or has overlapping pieces"):
        Shards(paths)
