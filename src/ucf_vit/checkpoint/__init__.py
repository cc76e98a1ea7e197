"""Checkpoints that survive a kill at any moment.

There are two slots, `<name>_even` and `<name>_odd`, written in turn: to a temporary directory, which is then
flushed and renamed. A slot is a directory with `model.safetensors` (weights), `ema.safetensors` (averaged
weights, if any), `optimizer.safetensors` (moments, by the names of the weights), `state.pt` (loss scale, data
position, step) and `meta.json` (number, versions, config, layout, checksums).

With several ranks, each writes a file of each kind, such as `model-00001-of-00004.safetensors`, with its own
pieces; see `shards`. A checkpoint can be read in any layout of ranks.

Checkpoints are ordered by their numbers, which count all checkpoints ever saved in a directory; clocks are
not compared.
"""

from ucf_vit.checkpoint.find import (
    BEST,
    SLOTS,
    clean_up,
    find,
    find_all,
    find_kept,
    load_first,
    load_newest,
    newest_slot,
    slots,
)
from ucf_vit.checkpoint.read import META, SINGLE_PROCESS, Checkpoint, load, read_config, read_meta, shards
from ucf_vit.checkpoint.schema import AVERAGED, OPTIMIZER, STATE, WEIGHTS, check_state, kind_of
from ucf_vit.checkpoint.write import commit, prepare, save, versions, write

__all__ = [
    "AVERAGED",
    "BEST",
    "META",
    "OPTIMIZER",
    "SINGLE_PROCESS",
    "SLOTS",
    "STATE",
    "WEIGHTS",
    "Checkpoint",
    "check_state",
    "clean_up",
    "commit",
    "find",
    "find_all",
    "find_kept",
    "kind_of",
    "load",
    "load_first",
    "load_newest",
    "newest_slot",
    "prepare",
    "read_config",
    "read_meta",
    "save",
    "shards",
    "slots",
    "versions",
    "write",
]
