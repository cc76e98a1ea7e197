"""Intervals of means over cases, and comparisons of methods, with groups (patients) as the unit."""
