"""Saving beside the training: what is written is what was there when it was asked for."""

import threading
from pathlib import Path

import torch

from ucf_vit import checkpoint
from ucf_vit.checkpoint import AVERAGED, OPTIMIZER, WEIGHTS
from ucf_vit.checkpoint.saver import Saver
from ucf_vit.parallel.ranks.world import World


def test_training_goes_on_without_changing_what_is_being_written(tmp_path: Path) -> None:
    """The thread gets to writing only after all tensors were changed in place, as an optimizer does."""
    kinds = (WEIGHTS, AVERAGED, OPTIMIZER)
    tensors = {kind: {"a": torch.ones(3, 2), "b": torch.full((5,), 2.0)} for kind in kinds}
    may_write = threading.Event()
    with Saver(World(0, 1, torch.device("cpu")), in_background=True) as saver:
        assert saver._thread is not None
        saver._thread.submit(may_write.wait)
        saver.save(tmp_path / "last_even", tensors, {"step": 1}, {"step": 1})
        for named in tensors.values():
            for tensor in named.values():
                tensor.zero_()
        assert not (tmp_path / "last_even").exists()
        may_write.set()
    read = checkpoint.load(tmp_path / "last_even")
    for kind in kinds:
        whole = read.shards(kind).whole()
        assert whole["a"].equal(torch.ones(3, 2)) and whole["b"].equal(torch.full((5,), 2.0))
