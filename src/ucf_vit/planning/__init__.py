"""Which data rank reads what: cost of files, ranks to data sets, tiles to ranks, plan files. Only NumPy."""
