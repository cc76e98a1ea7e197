"""Comparison of several methods on the same cases: differences, their files and page."""
