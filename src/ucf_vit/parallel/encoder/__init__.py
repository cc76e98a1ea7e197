"""Encoder split over tensor and sequence ranks: one rule per block type, attention over split tokens."""
