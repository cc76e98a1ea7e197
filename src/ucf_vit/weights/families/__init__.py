"""Families of weights, one file each: how they are recognised by their names, and converted."""
