"""Which items train, validate and test: groups of items, splits made from a seed, and given splits."""
