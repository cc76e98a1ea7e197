"""Weights of other programs and of the networks here: read, named, fitted to a network, and written."""
