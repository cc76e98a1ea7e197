"""Descriptions of the keys of a config, for the terminal and for the documentation."""
