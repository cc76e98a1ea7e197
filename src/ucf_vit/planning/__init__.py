"""Plans of the tiles that each data rank reads: costs, ranks per data set, tiles per rank. Only NumPy."""
