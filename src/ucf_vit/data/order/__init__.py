"""Order of the tiles of an epoch: integer arithmetic, a pure function of seed and epoch."""
