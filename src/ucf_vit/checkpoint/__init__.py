"""Checkpoints that survive a kill at any moment: two slots, written aside, flushed, renamed, checked.

A slot is a directory: `model.safetensors` (weights), `ema.safetensors` (their average, where one is kept),
`optimizer.safetensors` (moments, by the names of the weights), `state.pt` (loss scale, data position, step),
`meta.json` (number, versions, config, layout, checksums). `<name>_even` and `<name>_odd` are written in turn.

Several ranks write a file of each kind in place of one, `model-00001-of-00004.safetensors`, with the pieces
they hold; see `shards`. Nothing in a checkpoint depends on the layout that it was written in.

Checkpoints are in the order of their numbers, which count all that were ever saved in a directory: no clock
says which is newer.
"""

from ucf_vit.checkpoint.find import (
    BEST,
    SLOTS,
    clean_up,
    find,
    find_all,
    kept,
    load_first,
    load_newest,
    newest_slot,
    slots,
)
from ucf_vit.checkpoint.read import ALONE, META, Checkpoint, load, read_config, read_meta, shards
from ucf_vit.checkpoint.schema import AVERAGED, OPTIMIZER, STATE, WEIGHTS, check_state, kind_of
from ucf_vit.checkpoint.write import commit, prepare, save, versions, write

__all__ = [
    "ALONE",
    "AVERAGED",
    "BEST",
    "META",
    "OPTIMIZER",
    "SLOTS",
    "STATE",
    "WEIGHTS",
    "Checkpoint",
    "check_state",
    "clean_up",
    "commit",
    "find",
    "find_all",
    "kept",
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
