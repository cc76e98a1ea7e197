"""Evaluation of trained runs: request, items that were trained on, members of ensembles, post-processing."""
