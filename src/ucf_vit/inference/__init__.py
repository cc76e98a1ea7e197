"""Trained networks applied to images of any size."""
