"""Scores of segmentations that any tool has written into files."""
