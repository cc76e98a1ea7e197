"""Scores of each case of an evaluation, their summary, and the cases to look at."""
