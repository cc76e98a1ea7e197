"""Conversion of any source to a prepared data set."""
