"""Predictions of an image in overlapping windows, blended in bounded memory."""
