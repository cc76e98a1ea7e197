"""Data of a run: data sets, splits, statistics and plan."""
