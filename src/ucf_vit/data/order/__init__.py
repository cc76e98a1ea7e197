"""The order of the tiles of an epoch: integers only, a pure function of seed and epoch."""
