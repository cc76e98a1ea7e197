"""Metrics: arrays in, numbers out. One policy for structures that are missed or predicted where none is."""
