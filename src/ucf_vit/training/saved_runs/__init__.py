"""Runs that were saved: opened, restored, taken as a start, and which checkpoints are kept."""
