"""Ranks of a run: process groups, collectives on small values, and detection of lost ranks."""
