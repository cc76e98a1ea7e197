"""Limits of noise schedules."""

MIN_STEPS = {"linear": 25, "cosine": 1}
"""Least number of steps of each schedule: with fewer, one step of linear would add more than all variance."""
