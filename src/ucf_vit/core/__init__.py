"""Tools of every layer: registry, errors, seeds, logging."""
