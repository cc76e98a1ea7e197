"""Checks of keys against each other, one file per section or subject."""
